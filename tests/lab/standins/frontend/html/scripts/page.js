// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
'use strict';

const show = (id, text) => { document.getElementById(id).textContent = text; };
const fail = (error) => show('error', String(error && error.message || error));
window.addEventListener('error', (event) => fail(event.error || event.message));
window.addEventListener('unhandledrejection', (event) => fail(event.reason));

// A placeholder that no environment variable filled counts as unset. product-facts 1.4 [S:SAAGIE]
function param(name) {
  const value = window.TC_PARAMS[name] || '';
  return value === `__${name}_PLACEHOLDER__` ? '' : value;
}

// product-facts 6.1 [S:SAAGIE, FE57]: the query string overrides the parameter
function apiBase() {
  const override = new URLSearchParams(location.search).get('api_baseroute');
  const base = override || param('API_BASEROUTE');
  if (!base) throw new Error('API_BASEROUTE is not set');
  return base.replace(/\/+$/, '');
}

// product-facts 2.1 [S:PUBAPI, FE57] and product-facts 1.7 [S:W6D]: both headers need a preflight
async function call(path, { token, ...options } = {}) {
  const headers = { 'Content-Type': 'application/json', 'x-json-flavor': 'toucan' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(apiBase() + path, { ...options, headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

// product-facts 1.5 [S:DOC04, FE57]: majors must be equal, the page warns otherwise
const major = (version) => version.replace(/^v/, '').split('.')[0];

async function showVersions() {
  const frontend = (await (await fetch('/tucana-version.txt')).text()).trim();
  show('version', `frontend ${frontend}`);
  const backend = (await call('/')).version;
  show('version', `frontend ${frontend}, backend ${backend}`);
  if (major(frontend) !== major(backend)) {
    show('version-warning', `frontend ${frontend} and backend ${backend} do not fit together`);
  }
}

// product-facts 2.1 [S:PUBAPI, FE57] and product-facts 2.2 [S:FE57]
async function logIn(username, password) {
  const body = JSON.stringify({ username, password });
  const { token } = await call('/login', { method: 'POST', body });
  const user = await call('/auth/check', { token });
  show('who', `${user.username} (${user.roles.join(', ')})`);
  const list = document.getElementById('apps');
  list.replaceChildren(...(await call('/small-apps', { token })).map((app) => {
    const item = document.createElement('li');
    item.textContent = app.name;
    return item;
  }));
}

// product-facts 2.2 [S:FE57] and product-facts 6.1 [S:HELM]
function openWebsocket() {
  const base = param('WEBSOCKET_BASEROUTE') || apiBase().replace(/^http/, 'ws');
  const socket = new WebSocket(base.replace(/\/+$/, '') + '/ws');
  show('ws', 'connecting');
  socket.onopen = () => socket.send('hello');
  socket.onmessage = (event) => show('ws', event.data === 'hello' ? 'open' : 'garbled');
  socket.onclose = () => show('ws', 'closed');
}

document.getElementById('login-form').addEventListener('submit', (event) => {
  event.preventDefault();
  show('error', '');
  const value = (id) => document.getElementById(id).value;
  logIn(value('username'), value('password')).catch(fail);
});
showVersions().catch(fail);
openWebsocket();
