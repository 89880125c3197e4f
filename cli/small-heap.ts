import v8 from 'node:v8'

/**
 * Keeps the heap of a process that only moves bytes as small as it begins. What it makes of a part is garbage a moment
 * later, but V8 lets the space for new objects grow to 96 MiB before it looks. Looking more often costs 8 % of its CPU time
 * and no seconds of an upload (bench/results/upload-notes.md).
 */
export const keepHeapSmall = (): void => v8.setFlagsFromString('--semi-space-growth-factor=1')
