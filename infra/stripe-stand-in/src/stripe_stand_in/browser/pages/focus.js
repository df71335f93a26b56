// The focus goes to the frame from the page around it, and on from there: a frame that took it could come too early.

export function focusOn(element) {
  if (document.hasFocus()) element.focus();
  else addEventListener('focus', () => element.focus(), { once: true });
}
