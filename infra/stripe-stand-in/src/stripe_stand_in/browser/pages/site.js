// The site's page around this one, or rather the script in it, which hands over the channel to talk through.

let toSite;

// `handlers` by the name of what the script tells or asks. The first channel counts, and only from the window that
// holds this frame: which site that is does not matter, as with Stripe, for nothing that it may not know is told to it.
export function listenToSite(handlers) {
  addEventListener('message', ({ source, data, ports: [port] }) => {
    if (toSite || source !== parent || data !== 'connect' || !port) return;
    toSite = port;
    port.onmessage = async ({ data: { name, detail, id } }) => {
      const answer = await handlers[name](detail);
      if (id) port.postMessage({ answerTo: id, answer });
    };
    tellSite('connected');
  });
}

export function tellSite(event, detail) {
  toSite?.postMessage({ event, detail });
}
