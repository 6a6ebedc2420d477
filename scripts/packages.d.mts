import type { Plugin } from 'esbuild';

export declare const external: string[];
export declare const banner: string;
export declare const packagePlugins: Plugin[];
