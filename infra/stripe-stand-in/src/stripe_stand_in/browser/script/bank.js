// The buyer's bank: a dialog over the whole page, with a frame of the stand-in's in it. It is opened unseen, as its
// frame also asks Stripe for the intent, and shown only when the buyer is wanted.

function openBank() {
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-label', '3D Secure authentication');
  document.body.append(dialog);
  const { frame, tell, ask, close } = openFrame(dialog, 'bank.html', '3D Secure authentication', {});
  style(frame, { height: '100%' });
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault(); // the bank hears of it first
    tell('cancel');
  });
  return {
    ask,
    // A modal dialog keeps the focus inside, lies over a site's own dialogs, and gives the focus back.
    show() {
      style(dialog, {
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
