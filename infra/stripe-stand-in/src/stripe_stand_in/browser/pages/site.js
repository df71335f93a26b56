// Messages between this page and the script on the site's page.

let port;

// `handlers`: by the name of the message. Accepts one channel, and only from the window that contains this frame. Any
// site may embed it, as with Stripe: the page sends nothing that the site may not see.
export function connectToSite(handlers) {
  addEventListener('message', ({ source, data, ports: [given] }) => {
    if (port || source !== parent || data !== 'connect' || !given) return;
    port = given;
    port.onmessage = async ({ data: { name, detail, id } }) => {
      const answer = await handlers[name](detail);
      if (id) port.postMessage({ answerTo: id, answer });
    };
    sendToSite('connected');
  });
}

export function sendToSite(event, detail) {
  port?.postMessage({ event, detail });
}
