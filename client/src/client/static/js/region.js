// Replaces the page's content by a new version from the server, so that only the server renders it.

/** Fetches this page again and replaces its content; then dispatches the event `content` on the document. */
export async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (response.redirected) return location.assign(response.url); // the session has ended
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const content = document.getElementById("content");
  const hadFocus = content.contains(document.activeElement);
  content.replaceChildren(...page.getElementById("content").childNodes);
  document.title = page.title;
  if (hadFocus) (content.querySelector("h1[tabindex]") ?? content).focus();
  document.dispatchEvent(new Event("content"));
}
