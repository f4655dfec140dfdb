// A telephone in a page: JsSIP, a microphone, and an ear that tells frequencies. A test leads it by
// `window.telephone` and looks at `telephone.state()`.

const JsSIP = require('jssip');

// A tone must leave as it is.
const MICROPHONE = {
  audio: { autoGainControl: false, echoCancellation: false, noiseSuppression: false },
  video: false,
};

let ua = null;
let session = null;
let connection = null;
let ear = null;
// Where the engine's audio is reached instead of where its descriptions say, as `address port`.
let detour = null;
// The network went while somebody talked.
let lost = false;
const seen = { registered: false, call: 'none', who: null, incoming: false, offered: null, cause: null, restarts: 0 };

function start({ url, user, password, media }) {
  detour = media;
  ua = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(url)],
    uri: `sip:${user}@hotline.example`,
    ...(password ? { password } : {}),
    register: Boolean(password),
    session_timers: true,
    connection_recovery_min_interval: 1,
    connection_recovery_max_interval: 2,
  });
  ua.on('registered', () => {
    seen.registered = true;
    takeUp();
  });
  ua.on('unregistered', () => { seen.registered = false; });
  ua.on('registrationFailed', (event) => { seen.cause = event.cause; });
  ua.on('disconnected', () => {
    seen.registered = false;
    lost = true;
  });
  ua.on('newRTCSession', (event) => {
    if (session === null) {
      begin(event.session, event.request);
    } else if (event.originator === 'remote') {
      event.session.terminate({ status_code: 486 });
    }
  });
  ua.start();
}

function begin(it, request) {
  session = it;
  const incoming = it.direction === 'incoming';
  const who = it.remote_identity?.uri?.user ?? null;
  Object.assign(seen, { call: 'ringing', who, incoming, cause: null, offered: null, restarts: 0 });
  if (incoming) {
    seen.offered = candidate(request.body);
  }
  it.on('sdp', (event) => {
    if (event.originator === 'remote') {
      seen.offered = candidate(event.sdp) ?? seen.offered;
      event.sdp = redirected(event.sdp);
    }
    console.info(`${event.originator} ${event.type}\n${event.sdp}`);
  });
  it.on('peerconnection', (event) => listen(event.peerconnection));
  // A call of ours has its connection already.
  if (it.connection) {
    listen(it.connection);
  }
  it.on('confirmed', () => { seen.call = 'talking'; });
  const over = (event) => {
    seen.call = 'ended';
    seen.cause = event.cause;
    session = null;
  };
  it.on('ended', over);
  it.on('failed', over);
}

// The first address in a description where audio is reached, as `address port`.
function candidate(sdp) {
  return /^a=candidate:\S+ 1 \S+ \d+ (\S+ \d+) typ host/m.exec(sdp ?? '')?.[1] ?? null;
}

function redirected(sdp) {
  const at = detour && candidate(sdp);
  return at ? sdp.replaceAll(` ${at} typ host`, ` ${detour} typ host`) : sdp;
}

// After another network: the same call by another way (RFC 8445 §2.4).
function takeUp() {
  if (lost && session?.isEstablished()) {
    session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, () => { seen.restarts += 1; });
  }
  lost = false;
}

function listen(it) {
  if (connection === it) {
    return;
  }
  connection = it;
  it.addEventListener('track', (event) => {
    const stream = event.streams[0] ?? new MediaStream([event.track]);
    // Without an element that plays it Chromium does not hand the sound on.
    document.getElementById('ear').srcObject = stream;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 4096;
    analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(stream).connect(analyser);
    ear = { analyser, hertz: context.sampleRate / analyser.fftSize };
  });
}

// The strongest frequency of the last 85 ms, and its share of the power: near 1 for a tone.
function heard() {
  if (ear === null) {
    return { hz: 0, share: 0 };
  }
  const bins = new Float32Array(ear.analyser.frequencyBinCount);
  ear.analyser.getFloatFrequencyData(bins);
  const power = Array.from(bins, (it) => (it > -90 ? 10 ** (it / 10) : 0));
  const all = power.reduce((sum, it) => sum + it, 0);
  const top = power.indexOf(Math.max(...power));
  // The window spreads a tone over seven bins.
  const own = power.slice(Math.max(top - 3, 0), top + 4).reduce((sum, it) => sum + it, 0);
  return { hz: top * ear.hertz, share: all > 0 ? own / all : 0 };
}

function state() {
  return {
    ...seen,
    connected: ua?.isConnected() ?? false,
    held: session?.isOnHold() ?? null,
    ice: connection?.iceConnectionState ?? null,
    dtls: connection?.connectionState ?? null,
    heard: heard(),
  };
}

const ANSWER = { mediaConstraints: MICROPHONE, pcConfig: { iceServers: [] } };

window.telephone = {
  start,
  state,
  call: (to) => { ua.call(`sip:${to}@hotline.example`, ANSWER); },
  answer: () => session.answer(ANSWER),
  refuse: (status) => session.terminate({ status_code: status }),
  hangUp: () => session.terminate(),
  hold: () => session.hold(),
  unhold: () => session.unhold(),
  press: (keys) => session.sendDTMF(keys, { transportType: 'RFC2833' }),
};

// Who leaves the page hangs up: nobody else can take up its half of the talk.
window.addEventListener('pagehide', () => ua?.stop());
