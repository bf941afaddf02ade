// Serves on the socket that shoal passes, and ends its requests well.
'use strict';
const http = require('http');

const server = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.setHeader('X-Worker', process.env.SHOAL_PORT);
    response.end('hello from node\n');
  });
});
// Longer than HAProxy keeps a connection that is idle: who closes first must be HAProxy.
server.keepAliveTimeout = 75_000;
server.listen({fd: Number(process.env.SHOAL_LISTENER_FD)});

process.on('SIGTERM', () => {
  server.close();
  server.closeIdleConnections();
});
