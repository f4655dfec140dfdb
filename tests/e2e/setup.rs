//! The configuration of an engine under test.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
};

use crate::{disk::Disk, program::root, prompts::Prompts};

/// Where the engine listens.
pub(crate) const ENGINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where the trunk's calls come from.
pub(crate) const CARRIER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Where agents' telephones are.
pub(crate) const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// Where nobody known is.
pub(crate) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// Token of a system, which may do everything.
pub(crate) const TOKEN: &str = "system-token";

/// Token of an operator, who sees no numbers.
pub(crate) const OPERATOR_TOKEN: &str = "operator-token";

/// Password of every telephone.
pub(crate) const PASSWORD: &str = "correct horse";

/// What the receiver of pushes has agreed on with the engine.
pub(crate) const PUSH_SECRET: &str = "push-secret";

/// What a test wants of its engine. The default is an engine for one quick story: two agents (1001
/// and 1002) in all groups, quick prompts, no after-call work, ring limit 5 s.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Where it listens for SIP and has its RTP. At another address than [`ENGINE`] carriers and
    /// telephones are there, too.
    pub(crate) home: IpAddr,
    pub(crate) prompts: Prompts,
    pub(crate) n_agents: usize,
    pub(crate) acw_secs: u32,
    pub(crate) channels_max: usize,
    /// Shortest is 5.
    pub(crate) ring_limit_secs: u32,
    /// Longest queue of each group.
    pub(crate) queue_max: u32,
    /// Changes of the bundled flows: file below `ivr-flows`, text, and what it becomes.
    pub(crate) flow_edits: Vec<(&'static str, &'static str, &'static str)>,
    /// Further lines of the section `[sip]` (and sections behind it), and of each agent's.
    pub(crate) sip_more: String,
    pub(crate) agent_more: &'static str,
    /// Further keys of the section `[media]`.
    pub(crate) media_more: &'static str,
    /// Legs for which there are ports; two a call.
    pub(crate) legs_max: usize,
    /// RTP ports, in blocks of 64; two a leg.
    pub(crate) port_blocks: u16,
    /// Where calls go out, the first one first.
    pub(crate) gateways: Vec<SocketAddr>,
    /// Calls that each agent may make within an hour.
    pub(crate) calls_per_hour: u32,
    /// Beginnings of the numbers that agents may call.
    pub(crate) may_call: &'static [&'static str],
    /// How long a stop waits for calls.
    pub(crate) grace_secs: u32,
    /// Further gateways, and accounts, as sections of the trunk.
    pub(crate) trunk_more: String,
    /// Further keys of the trunk with gateways.
    pub(crate) trunk_keys: &'static str,
    /// Gateways are probed.
    pub(crate) options_probes: bool,
    /// Where records and agents' states are pushed to.
    pub(crate) push: Option<SocketAddr>,
    /// A process in whose network namespace it runs. Its HTTP is at [`home`](Self::home) then.
    pub(crate) network_of: Option<u32>,
    /// A disk of its own for some of what it writes.
    pub(crate) disk: Option<Disk>,
    /// More keys of `[recording]`.
    pub(crate) recording_more: &'static str,
    /// What is logged.
    pub(crate) log_filter: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            home: ENGINE,
            prompts: Prompts::Quick,
            n_agents: 2,
            acw_secs: 0,
            channels_max: 30,
            ring_limit_secs: 5,
            queue_max: 50,
            flow_edits: Vec::new(),
            sip_more: String::new(),
            agent_more: "",
            media_more: "",
            legs_max: PORTS / 2,
            port_blocks: 1,
            gateways: Vec::new(),
            calls_per_hour: 2,
            may_call: &["1"],
            grace_secs: 1,
            trunk_more: String::new(),
            trunk_keys: "",
            options_probes: true,
            push: None,
            network_of: None,
            disk: None,
            recording_more: "",
            log_filter: "info",
        }
    }
}

/// RTP ports of one engine, and the socket that keeps other tests from taking them.
#[derive(Debug)]
pub(crate) struct Ports {
    first: u16,
    n_blocks: u16,
    _guards: Vec<UdpSocket>,
}

/// Ports of one engine; two a leg.
const PORTS: usize = 64;

const GROUPS: [&str; 17] = [
    "gx.general",
    "gx.overflow",
    "gx.business",
    "gx.nn.general",
    "gx.lz.general",
    "gx.gl.general",
    "gx.wz.general",
    "gx.bh.general",
    "gx.fcg.general",
    "gx.qz.general",
    "gx.gg.general",
    "gx.yl.general",
    "gx.bs.general",
    "gx.hz.general",
    "gx.hc.general",
    "gx.lb.general",
    "gx.cz.general",
];

impl Setup {
    /// The spoken prompts and the flows as they are shipped.
    pub(crate) fn spoken() -> Self {
        Self { prompts: Prompts::Spoken, ..Self::default() }
    }

    /// So many calls at once, each with an agent of its own.
    pub(crate) fn of_calls(n: usize) -> Self {
        let port_blocks = u16::try_from(n.div_ceil(PORTS / 4)).unwrap();
        let legs_max = PORTS / 2 * usize::from(port_blocks);
        let channels_max = n + 1;
        Self { n_agents: n, channels_max, port_blocks, legs_max, ..Self::default() }
    }

    /// Telephones may answer by MD5 alone, as SIPp and baresip of Debian 12 do.
    pub(crate) fn old_telephones() -> Self {
        Self { agent_more: "digest = [\"MD5\"]\n", ..Self::default() }
    }

    /// The same, and audio to those that register over TLS is encrypted.
    pub(crate) fn encrypted_telephones() -> Self {
        Self { agent_more: "digest = [\"MD5\"]\nsrtp = \"tls\"\n", ..Self::default() }
    }

    /// A survey follows every talk, not only those of ten seconds.
    pub(crate) fn with_survey(mut self) -> Self {
        const MAIN: &str = "flows/gx12345.main.flow.yaml";
        self.flow_edits.push((MAIN, "agent.talk_ms >= 10000", "agent.talk_ms >= 1"));
        self
    }

    /// Writes configuration, flows and prompts into a folder.
    pub(crate) fn write(&self, folder: &Path, ports: &Ports) {
        let quick = self.prompts.prepare(&folder.join("prompts"));
        let (home, any) = (self.home, SocketAddr::new(self.home, 0));
        let carrier = if home == ENGINE { CARRIER } else { home };
        let http = if self.network_of.is_some() { home } else { ENGINE };
        let mut text = format!(
            "[engine]\ndata_dir = \"var\"\ngrace_secs = {}\n\
             [log]\nfilter = \"{}\"\n\
             [sip]\nlisten_udp = [\"{any}\"]\nlisten_tcp = [\"{any}\"]\n\
             {}\
             [media]\naddress = \"{home}\"\nport_first = {}\nport_last = {}\nlegs_max = {}\n\
             port_quarantine_secs = 1\nbusy_max_percent = 100\npin_workers = false\n{}",
            self.grace_secs,
            self.log_filter,
            self.sip_more,
            ports.first,
            ports.last(),
            self.legs_max,
            self.media_more,
        );
        if let Some(it) = quick {
            writeln!(text, "prompt_dir = \"{}\"", it.display()).unwrap();
        }
        if !self.flow_edits.is_empty() {
            self.edit_flows(&folder.join("flows"));
            text += "[flows]\ndir = \"flows\"\n";
        }
        // A machine that has little room left can run tests, too.
        text += "[recording]\nmin_free_mib = 1\n";
        text += self.recording_more;
        write!(
            text,
            "[http]\nlisten = \"{http}:0\"\n\
             [[http.token]]\nname = \"test\"\nrole = \"system\"\ndemo_token = \"{TOKEN}\"\n\
             [[http.token]]\nname = \"operator\"\nrole = \"operator\"\n\
             demo_token = \"{OPERATOR_TOKEN}\"\n\
             [[trunk]]\nid = \"carrier\"\nsources = [\"{carrier}\"]\nchannels_max = {}\n\
             area_code = \"0771\"\ncity = \"450100\"\n",
            self.channels_max
        )
        .unwrap();
        self.write_outbound(&mut text);
        for group in GROUPS {
            let Self { ring_limit_secs, queue_max, .. } = self;
            write!(
                text,
                "[[group]]\nid = \"{group}\"\nname = \"{group}\"\n\
                 ring_limit_secs = {ring_limit_secs}\nqueue_max = {queue_max}\n"
            )
            .unwrap();
        }
        for index in 1..=self.n_agents {
            write!(
                text,
                "[[agent]]\nno = \"100{index}\"\nname = \"坐席{index}\"\nextension = \"800{index}\"\n\
                 demo_password = \"{PASSWORD}\"\nacw_secs = {}\ngroups = {{ \"*\" = 1 }}\n\
                 dial_plan = \"normal\"\n{}",
                self.acw_secs, self.agent_more
            )
            .unwrap();
        }
        if let Some(receiver) = self.push {
            fs::write(folder.join("push.secret"), PUSH_SECRET).unwrap();
            write!(
                text,
                "[[push]]\nid = \"work-order\"\nurl = \"http://{receiver}/events\"\n\
                 secret_file = \"push.secret\"\nretry_max_secs = 2\n"
            )
            .unwrap();
        }
        fs::write(folder.join("hotline.toml"), text).unwrap();
    }

    fn write_outbound(&self, text: &mut String) {
        if !(self.gateways.is_empty() && self.trunk_more.is_empty()) {
            writeln!(text, "numbers = [\"077112345\"]").unwrap();
            writeln!(text, "options_probes = {}", self.options_probes).unwrap();
            *text += self.trunk_keys;
        }
        for (n, gateway) in self.gateways.iter().enumerate() {
            write!(text, "[[trunk.gateway]]\naddress = \"{gateway}\"\npriority = {n}\n").unwrap();
        }
        *text += &self.trunk_more;
        let (per_hour, allow) = (self.calls_per_hour, self.may_call);
        write!(text, "[[dial_plan]]\nid = \"normal\"\nallow = {allow:?}\nper_hour = {per_hour}\n")
            .unwrap();
    }

    fn edit_flows(&self, to: &Path) {
        copy(&root().join("ivr-flows"), to);
        for (file, from, into) in &self.flow_edits {
            let path = to.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{file} does not contain {from:?}");
            fs::write(path, text.replace(from, into)).unwrap();
        }
    }
}

impl Ports {
    /// Blocks that no other test has: the last port of each, which RTP never uses, is held.
    pub(crate) fn reserve(n_blocks: u16) -> Self {
        let size = u16::try_from(PORTS).unwrap();
        // Below the range from which the kernel gives free ports.
        (20_000..32_000_u16)
            .step_by(PORTS)
            .find_map(|first| {
                let guard = |n| UdpSocket::bind((ENGINE, first + (n + 1) * size - 1)).ok();
                let guards = (0..n_blocks).map(guard).collect::<Option<_>>()?;
                Some(Self { first, n_blocks, _guards: guards })
            })
            .expect("no block of ports is free")
    }

    fn last(&self) -> usize {
        usize::from(self.first) + PORTS * usize::from(self.n_blocks) - 1
    }

    /// Those of RTP.
    pub(crate) fn all(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let last = u16::try_from(self.last()).unwrap();
        (self.first..last).step_by(2).map(|port| SocketAddr::new(ENGINE, port))
    }
}

/// Copies flows, numbers, tables and the catalogue; sounds come from elsewhere.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for it in fs::read_dir(from).unwrap() {
        let it = it.unwrap();
        let target = to.join(it.file_name());
        if it.file_type().unwrap().is_dir() {
            copy(&it.path(), &target);
        } else if it.path().extension().is_none_or(|it| it != "wav") {
            fs::copy(it.path(), target).unwrap();
        }
    }
}
