#!/bin/sh
':' //; case "$0" in */atlas.js) [ -x "${0%.js}" ] && exec "${0%.js}" "$@";; esac; exec node "$0" "$@"

// JavaScript for Node.js. Started by its own name, it is a shell script that goes by way of `bin/atlas`.
import '../dist/src/cli/main.js';
