// Applies the site's style options: the stylesheet has a variable for each.

export function applyStyle({ base = {}, invalid = {} } = {}) {
  const { '::placeholder': placeholder = {}, ...plain } = base;
  const values = { ...plain, placeholderColor: placeholder.color, invalidColor: invalid.color };
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) document.documentElement.style.setProperty(`--${name}`, value);
  }
}
