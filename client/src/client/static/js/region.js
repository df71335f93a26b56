// The page's content, made anew by the server: what it should say is decided in one place.

/** Fetches this page again and puts its content in place; then the document gets the event `content`. */
export async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected) return location.assign(answer.url); // the session has ended
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const content = document.getElementById("content");
  const hadFocus = content.contains(document.activeElement);
  content.replaceChildren(...fresh.getElementById("content").childNodes);
  document.title = fresh.title;
  if (hadFocus) (content.querySelector("h1[tabindex]") ?? content).focus();
  document.dispatchEvent(new Event("content"));
}
