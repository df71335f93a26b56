// The buyer's bank: a dialog over the whole page with one of the stand-in's frames. It opens hidden, as its page also
// reads the intent from Stripe, and is shown when the buyer has to act.

function openBank() {
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-label', '3D Secure authentication');
  document.body.append(dialog);
  const { frame, send, request, close } = openFrame(dialog, 'bank.html', '3D Secure authentication', {});
  setStyle(frame, { height: '100%' });
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault(); // the dialog closes after the bank has reported the failure
    send('cancel');
  });
  return {
    request,
    // A modal dialog keeps the focus inside, covers the site's own dialogs, and returns the focus when it closes.
    show() {
      setStyle(dialog, {
        'background': 'rgb(15 18 25 / 60%)',
        'border': '0',
        'display': 'block',
        'height': '100%',
        'inset': '0',
        'margin': '0',
        'max-height': 'none',
        'max-width': 'none',
        'overflow': 'hidden',
        'padding': '0',
        'position': 'fixed',
        'width': '100%',
      });
      dialog.showModal();
      frame.focus();
    },
    close() {
      dialog.close();
      close();
      dialog.remove();
    },
  };
}
