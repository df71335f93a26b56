// The card Element: a container on the site's page, with a frame that contains the fields.

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

// The functions of an Element that only the script may call, by the Element that the site has.
const internals = new WeakMap();

function checkCardOptions(options) {
  rejectUnknown('the options of a card Element', options, CARD_OPTIONS);
  rejectUnknown('style', options.style, Object.keys(STYLES));
  for (const [variant, properties] of Object.entries(options.style ?? {})) {
    rejectUnknown(`style.${variant}`, properties, STYLES[variant]);
  }
  rejectUnknown('style.base.::placeholder', options.style?.base?.['::placeholder'], ['color']);
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

function createCardElement(initialOptions = {}) {
  checkCardOptions(initialOptions);
  requireOneOf('the option hidePostalCode', initialOptions.hidePostalCode, [true]);
  let options = initialOptions;
  let mounted = null; // { container, frame, ready }
  const listeners = Object.fromEntries(EVENTS.map((event) => [event, []]));

  function emit(event, detail) {
    for (const listener of [...listeners[event]]) listener({ elementType: 'card', ...detail });
  }

  function setStates(states) {
    for (const [state, on] of Object.entries(states)) mounted.container.classList.toggle(`StripeElement--${state}`, on);
  }

  const handlers = {
    ready() {
      mounted.ready = true;
      emit('ready');
    },
    change({ invalid, ...state }) {
      setStates({ complete: state.complete, empty: state.empty, invalid });
      emit('change', state);
    },
    focus() {
      setStates({ focus: true });
      emit('focus');
    },
    blur() {
      setStates({ focus: false });
      emit('blur');
    },
    height: (pixels) => setStyle(mounted.frame.frame, { height: `${pixels}px` }),
    // Enter submits the surrounding form, as in the form's own fields.
    submit: () => mounted.container.closest('form')?.requestSubmit(),
  };

  const element = {
    mount(where) {
      const container = findContainer(where);
      element.unmount();
      container.replaceChildren();
      container.classList.add('StripeElement', 'StripeElement--empty');
      const frame = openFrame(container, 'card.html', 'Secure card payment input frame', handlers);
      frame.send('options', options);
      mounted = { container, frame, ready: false };
    },
    unmount() {
      if (!mounted) return;
      mounted.frame.close();
      mounted.container.classList.remove('StripeElement', ...STATES.map((state) => `StripeElement--${state}`));
      mounted = null;
    },
    update(changed = {}) {
      checkCardOptions(changed);
      const style = { ...options.style };
      for (const [variant, properties] of Object.entries(changed.style ?? {})) {
        style[variant] = { ...style[variant], ...properties };
      }
      options = { ...options, ...changed, style };
      mounted?.frame.send('options', options);
    },
    on(event, listener) {
      requireOneOf('the event of on()', event, EVENTS);
      listeners[event].push(listener);
      return element;
    },
  };
  internals.set(element, {
    createPaymentMethod(key) {
      // The page may have removed the container without unmount().
      if (!mounted?.ready || !mounted.frame.frame.isConnected) throw new IntegrationError(UNMOUNTED);
      return mounted.frame.request('createPaymentMethod', { key });
    },
  });
  return element;
}
