// What the site wants the fields to look like. The stylesheet has a variable for each of its wishes.

export function applyStyle({ base = {}, invalid = {} } = {}) {
  const { '::placeholder': placeholder = {}, ...plain } = base;
  const wishes = { ...plain, placeholderColor: placeholder.color, invalidColor: invalid.color };
  for (const [name, value] of Object.entries(wishes)) {
    if (value !== undefined) document.documentElement.style.setProperty(`--${name}`, value);
  }
}
