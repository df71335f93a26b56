// The card Element: a container on the site's page, and in it the frame with the fields.

const CARD_OPTIONS = ['disabled', 'hidePostalCode', 'style'];
const STYLES = {
  base: ['::placeholder', 'backgroundColor', 'color', 'fontFamily', 'fontSize', 'fontWeight', 'iconColor', 'letterSpacing'],
  invalid: ['color'],
};
const EVENTS = ['blur', 'change', 'focus', 'ready'];
const STATES = ['complete', 'empty', 'focus', 'invalid'];
const UNMOUNTED =
  'We could not retrieve data from the specified Element. Please make sure the Element you are attempting to use is ' +
  'mounted and the ready event has been emitted.';

// What only the script may ask of an Element, by the Element that the site holds.
const fieldsOf = new WeakMap();

function checkCardOptions(options) {
  refuseUnknown('the options of a card Element', options, CARD_OPTIONS);
  refuseUnknown('style', options.style, Object.keys(STYLES));
  for (const [variant, properties] of Object.entries(options.style ?? {})) {
    refuseUnknown(`style.${variant}`, properties, STYLES[variant]);
  }
  refuseUnknown('style.base.::placeholder', options.style?.base?.['::placeholder'], ['color']);
}

function findContainer(where) {
  const container = typeof where === 'string' ? document.querySelector(where) : where;
  if (container instanceof HTMLElement) return container;
  throw new IntegrationError(
    typeof where === 'string'
      ? `The selector you specified (${where}) applies to no DOM elements that are currently on the page. Make sure ` +
        'the element exists on the page before calling mount().'
      : 'Invalid DOM element. Call mount() with either a valid selector or DOM element.',
  );
}

// A click on the container's label goes to the fields, which no label of the page's can belong to.
function labelsOf(container) {
  const around = container.closest('label');
  const named = container.id ? document.querySelectorAll(`label[for="${CSS.escape(container.id)}"]`) : [];
  return around ? [around, ...named] : [...named];
}

function createCardElement(given = {}, onDestroy) {
  checkCardOptions(given);
  let options = given;
  let destroyed = false;
  let mounted = null; // { container, frame, ready, labels } while it is
  const handlers = Object.fromEntries(EVENTS.map((event) => [event, []]));

  function emit(event, detail) {
    for (const handler of [...handlers[event]]) handler({ elementType: 'card', ...detail });
  }

  function mark(states) {
    for (const [state, on] of Object.entries(states)) mounted.container.classList.toggle(`StripeElement--${state}`, on);
  }

  const hear = {
    ready() {
      mounted.ready = true;
      emit('ready');
    },
    change({ invalid, ...state }) {
      mark({ complete: state.complete, empty: state.empty, invalid });
      emit('change', state);
    },
    focus() {
      mark({ focus: true });
      emit('focus');
    },
    blur() {
      mark({ focus: false });
      emit('blur');
    },
    height: (pixels) => style(mounted.frame.frame, { height: `${pixels}px` }),
    // Enter in a field does what it does in the fields of the form around it.
    submit: () => mounted.container.closest('form')?.requestSubmit(),
  };

  function focus() {
    mounted?.frame.frame.focus();
    mounted?.frame.tell('focus');
  }

  const element = {
    mount(where) {
      if (destroyed) throw new IntegrationError('This Element has already been destroyed. Please create a new one.');
      const container = findContainer(where);
      element.unmount();
      container.replaceChildren();
      container.classList.add('StripeElement', 'StripeElement--empty');
      const labels = new AbortController();
      for (const label of labelsOf(container)) label.addEventListener('click', focus, { signal: labels.signal });
      const frame = openFrame(container, 'card.html', 'Secure card payment input frame', hear);
      frame.tell('options', options);
      mounted = { container, frame, labels, ready: false };
    },
    unmount() {
      if (!mounted) return;
      mounted.frame.close();
      mounted.labels.abort();
      mounted.container.classList.remove('StripeElement', ...STATES.map((state) => `StripeElement--${state}`));
      mounted = null;
    },
    destroy() {
      element.unmount();
      destroyed = true;
      onDestroy();
    },
    update(changed = {}) {
      checkCardOptions(changed);
      const looks = { ...options.style };
      for (const [variant, properties] of Object.entries(changed.style ?? {})) {
        looks[variant] = { ...looks[variant], ...properties };
      }
      options = { ...options, ...changed, style: looks };
      mounted?.frame.tell('options', options);
    },
    focus,
    blur: () => mounted?.frame.tell('blur'),
    clear: () => mounted?.frame.tell('clear'),
    on(event, handler) {
      refuseUnlessOneOf('the event of on()', event, EVENTS);
      handlers[event].push(handler);
      return element;
    },
    off(event, handler) {
      refuseUnlessOneOf('the event of off()', event, EVENTS);
      handlers[event] = handler ? handlers[event].filter((each) => each !== handler) : [];
      return element;
    },
  };
  fieldsOf.set(element, {
    asksForPostalCode: () => !options.hidePostalCode,
    createPaymentMethod(details) {
      // A page may have removed the container without a word.
      if (!mounted?.ready || !mounted.frame.frame.isConnected) throw new IntegrationError(UNMOUNTED);
      return mounted.frame.ask('createPaymentMethod', details);
    },
  });
  return element;
}
