// What the operator says, typed and checked. Made once at start by load() (config/load.h); nothing changes it later.
// Cores never see it: app/ maps each part to the core's own Options.
//
// There are no defaults in this file: every one stands in the settings table (config/settings.cc) and only there.
// Where a value is optional here, "not set" has a meaning of its own, which the comment gives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/endpoint.h"
#include "base/log.h"
#include "base/time.h"

namespace shoal::config {

inline constexpr std::uint16_t kGossipPort = 7946;
inline constexpr std::uint16_t kRpcPort = 7373;
inline constexpr std::size_t kSocketsMax = 8;

enum class Role : std::uint8_t { kSidecar, kTask };
enum class Profile : std::uint8_t { kLan, kWan, kLocal };
enum class LogFormatChoice : std::uint8_t { kAuto, kText, kJson };  // kAuto: text on a terminal, else JSON.

struct Tag {
  std::string name;
  std::string value;
};

struct Node {
  std::string name;       // Never empty, at most 255 bytes, no control bytes.
  std::vector<Tag> tags;  // Without those that are shoal's own. Each name once.
};

/// Where an existing member may be found. Names are resolved anew at each attempt, so they stay text here.
struct Seed {
  enum class Kind : std::uint8_t {
    kAddress,  // `address` holds it.
    kHost,     // A host name; `host` and `port`.
    kSrv,      // A DNS SRV name in `host`; the records give the ports.
  };
  Kind kind = Kind::kAddress;
  Endpoint address;
  std::string host;
  std::uint16_t port = 0;
  std::string text;  // As the operator wrote it, for logs.
};

struct Bind {
  IpAddress addr;
  /// Not set (a task only): the first free port of 7947 to 7999, else any.
  std::optional<std::uint16_t> port;
};

/// Which of our addresses the others are told.
struct Advertise {
  enum class Kind : std::uint8_t {
    kAuto,       // The local address of the route to a seed.
    kAddress,    // `addr`, and `port` where it differs from the bound one.
    kNetwork,    // The first local address inside `network`.
    kInterface,  // The first address of the interface named `interface_name`.
  };
  Kind kind = Kind::kAuto;
  IpAddress addr;
  std::optional<std::uint16_t> port;
  Cidr network;
  std::string interface_name;
};

/// Single timings in place of the profile's. Not set: the profile's value.
struct Timing {
  std::optional<Duration> probe_interval;
  std::optional<Duration> probe_timeout;
  std::optional<Duration> gossip_interval;
  std::optional<Duration> push_pull_interval;
  std::optional<Duration> tcp_timeout;
  std::optional<Duration> dead_gossip_time;
  std::optional<std::uint32_t> suspicion_mult;
  std::optional<std::uint32_t> suspicion_max_mult;
  std::optional<std::uint32_t> gossip_nodes;
  std::optional<std::uint32_t> retransmit_mult;
  std::optional<std::uint32_t> indirect_checks;
  std::optional<std::uint32_t> awareness_max;
};

struct Gossip {
  Bind bind;
  Advertise advertise;
  std::vector<Seed> join;  // May be empty: wait to be joined.
  Profile profile = Profile::kLan;
  Timing timing;
  std::uint32_t members_max = 0;
  Duration reap_after{};
  std::vector<Cidr> allow;  // Empty: everybody.
  /// The AES key, decoded: 16, 24 or 32 bytes. Empty: none. Never together with keyring_file.
  std::vector<std::uint8_t> key;
  std::string keyring_file;  // serf's JSON keyring; rewritten when keys change. Empty: none.
  std::string label;         // memberlist's label, at most 255 bytes, no control bytes. Empty: packets carry none.
  std::string snapshot_dir;  // Where `<role>.snapshot` is kept. Empty: none is written and none is read.
};

/// Where a running shoal listens for `shoal members` and the like.
struct Control {
  enum class Kind : std::uint8_t {
    kAuto,    // The default places, see app/control_socket.h.
    kSocket,  // `socket`, and only there.
    kOff,
  };
  Kind kind = Kind::kAuto;
  std::string socket;  // A path, or an abstract name with its '@' in front.
};

/// Serf's agent RPC.
struct Rpc {
  std::optional<Endpoint> bind;  // Not set: there is none.
  std::string auth_key;          // What clients have to know; empty: nothing, which only loopback may have.
};

/// Server options for one pool in place of the general ones.
struct PoolOptions {
  std::string pool;
  std::string server_options;
};

enum class Verify : std::uint8_t {
  kConnect,  // The sidecar connects to the announced address once before the server is enabled.
  kCheck,    // HAProxy's own check passes before the server gets a request.
  kNone,
};

/// How a server comes to stand in HAProxy.
enum class Method : std::uint8_t {
  kAuto,     // As kDynamic; by slots where a pool takes no servers at run time and has some.
  kDynamic,  // `add server`, `del server`.
  kSlots,    // The slots of the pool's `server-template` are filled.
};

/// One HAProxy's runtime socket.
struct RuntimeSocket {
  enum class Kind : std::uint8_t {
    kPath,
    kAbstract,  // HAProxy's abns@: the name is filled up with NULs.
    kTcp,
  };
  Kind kind = Kind::kPath;
  bool is_master = false;  // The master's CLI: each command goes to the current worker.
  std::string text;        // As it was written, for people.
  std::string name;        // The path, or the abstract name with an '@' in front.
  Endpoint place;          // kTcp
};

struct Haproxy {
  std::vector<RuntimeSocket> sockets;  // 1 to 8, all different.
  std::string backend;                 // The pool for an announce that names none.
  std::vector<std::string> backends;   // Pools that may be used; empty: all that HAProxy has.
  std::string server_options;          // Checked words, one space between them; may be empty.
  std::vector<PoolOptions> pools;      // Each pool once.
  Method method = Method::kAuto;
  Verify verify = Verify::kConnect;
  std::string server_prefix;
  Duration reconcile_interval{};
  Duration grace{};
  std::string state_file;            // Empty: none.
  std::vector<std::string> command;  // HAProxy's argv, where shoal starts and supervises it. Empty: somebody else does.
                                     // The first socket, a path, is then that HAProxy's.
  std::uint32_t removal_floor = 50;  // Percent, 0 to 100.
  bool dry_run = false;
};

struct Sidecar {
  Duration solicit_interval{};
};

struct Task {
  std::string backend;  // Empty: the sidecar's haproxy.backend.
  Endpoint listen;
  std::uint32_t weight = 0;  // 1 to 256.
  bool adaptive_weight = false;
  Duration drain_timeout{};
  Duration stop_timeout{};
  std::optional<std::uint16_t> advertise_port;  // Not set: the bound port.
};

struct Health {
  std::uint32_t min_proxies = 0;  // HAProxies that a task has to be in rotation in; 0 to 64.
};

enum class Ready : std::uint8_t { kAuto, kNotify, kHttp, kTcp, kDelay };
enum class WorkerHealth : std::uint8_t { kOff, kHttp, kTcp, kQueue };
enum class HealthAction : std::uint8_t {
  kWithdraw,  // Out of rotation; the worker lives and may recover.
  kRestart,   // The worker is stopped and started anew.
};

/// Who binds the service port.
enum class WorkerSocket : std::uint8_t {
  kPass,          // shoal; the worker inherits the listening socket.
  kReserve,       // The worker, which sets SO_REUSEADDR; shoal keeps the port until it exits.
  kReserveClose,  // The worker; shoal lets go of the port just before it starts the worker.
};
enum class WorkerLog : std::uint8_t {
  kInherit,  // The worker writes to shoal's own stdout and stderr.
  kWrap,     // shoal reads the worker's lines and logs each as one of its own.
};

enum class Restart : std::uint8_t { kNever, kOnFailure, kAlways };
enum class OnHup : std::uint8_t { kRenew, kForward };
enum class SignalScope : std::uint8_t { kGroup, kLeader };

struct Worker {
  /// argv; never empty for a task. Placeholders are checked but still in it: config/placeholders.h fills them in.
  std::vector<std::string> command;
  WorkerSocket socket = WorkerSocket::kPass;
  WorkerLog log = WorkerLog::kInherit;
  Ready ready = Ready::kAuto;
  std::string ready_path;  // kHttp only.
  Duration ready_delay{};  // kDelay only.
  Duration ready_timeout{};
  WorkerHealth health = WorkerHealth::kOff;
  std::string health_path;  // kHttp only.
  Duration health_interval{};
  Duration health_timeout{};
  std::uint32_t health_rise = 0;  // Successes in a row that bring it back.
  std::uint32_t health_fall = 0;  // Failures in a row that withdraw it.
  HealthAction health_action = HealthAction::kWithdraw;
  int stop_signal = 0;  // A signal number.
  SignalScope signal_scope = SignalScope::kGroup;
  Restart restart = Restart::kNever;
  Duration backlog_wait{};  // May be zero.
  OnHup on_hup = OnHup::kRenew;
};

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  LogFormatChoice format = LogFormatChoice::kAuto;
};

struct Config {
  std::optional<Role> role;  // Always set for a program that runs; `config check` does without.
  Node node;
  Gossip gossip;
  Haproxy haproxy;
  Sidecar sidecar;
  Task task;
  Worker worker;
  Health health;
  Control control;
  Rpc rpc;
  LogSettings log;
  /// What is odd but no error, one sentence each. The program logs them once it has a log.
  std::vector<std::string> warnings;
};

}  // namespace shoal::config
