// Attributes of elements that are drawn again and again.

// Sets what differs alone, so that nothing is laid out or read out again for nothing; null takes an attribute away.
export function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value))
      element.setAttribute(name, value === true ? "" : String(value));
  }
}
