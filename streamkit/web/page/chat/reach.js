/**
 * How far apart the two ends of a piece of markup may be, in UTF-16 units: what is still open is looked at again with each write,
 * and this bounds it.
 */
export const REACH = 1000;
