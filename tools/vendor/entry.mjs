// What the dashboard imports from others, as one module. Application code is in shadowproxy/admin/web and is not built.
import { h } from 'preact';
import htm from 'htm';

export { Fragment, h, render } from 'preact';
export { useEffect, useMemo, useRef, useState } from 'preact/hooks';
export { computed, effect, signal } from '@preact/signals';
export { default as uPlot } from 'uplot';
export const html = htm.bind(h);
