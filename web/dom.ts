/**
 * The little that pages need to make elements: `el('a', { class: 'card', href }, 'text', child)`.
 * Text is always text, never markup: what people wrote cannot become an element.
 */
export type Child = Node | string | number | null | undefined | false

export type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>

/** An element with attributes and children. `true` is an empty attribute; false, null and undefined are none. */
export const el = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] => withContent(document.createElement(tag), attributes, children)

/** An icon from the sheet in the layout. Decoration: whatever it says must be said in words as well. */
export const icon = (name: string): SVGSVGElement => {
  const svg = document.createElementNS(SVG, 'svg')
  const use = document.createElementNS(SVG, 'use')
  use.setAttribute('href', `#icon-${name}`)
  return withContent(svg, { class: 'icon', 'aria-hidden': 'true' }, [use])
}

/** The element with this id, which the page's HTML promises. */
export const byId = <T extends HTMLElement>(id: string, type: new () => T): T => {
  const element = document.getElementById(id)
  if (element instanceof type) return element
  throw new TypeError(`the page has no ${type.name} with the id ${id}`)
}

/** Sets text only when it differs, so that a live region does not repeat itself. */
export const setText = (element: Element, text: string): void => {
  if (element.textContent !== text) element.textContent = text
}

const SVG = 'http://www.w3.org/2000/svg'

const withContent = <T extends Element>(element: T, attributes: Attributes, children: readonly Child[]): T => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '')
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value))
  }
  element.append(...children.flatMap((child) => present(child)))
  return element
}

const present = (child: Child): (Node | string)[] => {
  if (child === null || child === undefined || child === false) return []
  return [typeof child === 'number' ? String(child) : child]
}
