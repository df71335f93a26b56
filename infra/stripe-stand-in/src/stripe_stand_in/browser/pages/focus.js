// Waits until the page around has moved the focus to this frame: a frame that takes it by itself may do so too early.

export function focusOn(element) {
  if (document.hasFocus()) element.focus();
  else addEventListener('focus', () => element.focus(), { once: true });
}
