// A Node HTTP server as people write them: streams, events, and an upgrade by hand.
'use strict';
const http = require('node:http');
const crypto = require('node:crypto');

const BLOCK = crypto.createHash('shake256', { outputLength: 65521 }).update('chimera').digest();

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/upload') {
    const digest = crypto.createHash('sha256');
    let count = 0;
    request.on('data', (block) => { digest.update(block); count += block.length; });
    request.on('end', () => {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ count, sha256: digest.digest('hex') }));
    });
  } else if (url.pathname === '/download') {
    let left = Number(url.searchParams.get('bytes'));
    if (url.searchParams.has('length')) response.setHeader('Content-Length', left);
    const write = () => {
      while (left > 0) {
        const block = left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK;
        left -= block.length;
        if (!response.write(block)) return void response.once('drain', write);
      }
      response.end();
    };
    write();
  } else if (url.pathname === '/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    let number = 0;
    const timer = setInterval(() => {
      response.write(`data: ${number} ${Date.now() / 1000}\n\n`);
      if (++number === 5) { clearInterval(timer); response.end(); }
    }, 200);
  } else if (url.pathname === '/hints') {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' }, () => response.end('hinted'));
  } else if (url.pathname === '/trailers') {
    response.writeHead(200, { Trailer: 'X-Sum' });
    response.write('body');
    response.addTrailers({ 'X-Sum': '42' });
    response.end();
  } else {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers }));
  }
});

server.on('upgrade', (request, socket, head) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.write(head);
  socket.pipe(socket);
  socket.on('error', () => {});
});

server.listen(Number(process.argv[2] || 0), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
