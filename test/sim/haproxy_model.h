// One HAProxy process as its runtime socket shows it: pools, servers, and the answers to exactly the lines that shoal
// sends. The texts are those of HAProxy 2.6.12; haproxy_model_test.cc plays a recording of the real one and compares.
// No sockets (haproxy_host.h), no chance.
//
// What it does not know it refuses, as HAProxy does, so that no run goes well by luck.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace shoal::test {

/// Where 3.x answers or behaves otherwise, as published and measured elsewhere; only 2.6 is compared with a recording.
enum class HaproxyVersion : std::uint8_t { k26, k30, k34 };

/// Whose command it is.
enum class Hand : std::uint8_t { kShoal, kForeign, kOperator };

struct ModelServer {
  std::string name;
  std::string address;  // As `show servers state` prints it: no brackets.
  std::uint16_t port = 0;
  std::uint32_t id = 0;
  bool has_own_id = false;
  bool is_static = false;
  bool is_slot = false;  // Made by a server-template, disabled.
  std::string label;     // A slot's: whose address it has (HaproxyWatcher::label).
  std::uint32_t admin = 1;
  std::uint32_t weight = 1;
  std::uint32_t initial_weight = 1;
  bool has_check = false;
  bool checks = false;       // `enable health`
  bool check_down = false;   // HAProxy's own check has failed.
  std::uint64_t serial = 0;  // Never used twice in one host.

  std::uint32_t queued = 0;
  std::uint32_t sessions = 0;
  std::uint32_t idle = 0;  // Connections kept for reuse.
  bool has_idle_pool = false;

  Instant maintenance_since = kNever;
  Instant maintenance_before{}, maintenance_left{};  // The one before.
  Instant served_until{};                // The last moment at which it could get a request, by the changes alone.
  Instant touched_by_operator = kNever;  // When a hand other than shoal's last changed it.

  [[nodiscard]] bool in_maintenance() const { return (admin & 0x67) != 0; }
  [[nodiscard]] std::uint32_t op_state() const { return in_maintenance() || check_down ? 0 : 2; }
  /// HAProxy gives it new requests.
  [[nodiscard]] bool serves() const { return admin == 0 && weight > 0 && !check_down; }
  [[nodiscard]] std::uint32_t in_flight() const { return queued + sessions; }
  /// A slot that stands for nobody.
  [[nodiscard]] bool is_spare() const { return is_slot && in_maintenance() && (weight == 0 || label.empty()); }
  /// Its own name, or that of the server for which the slot stands.
  [[nodiscard]] const std::string& who() const { return label.empty() ? name : label; }
};

struct ModelPool {
  std::string name;
  std::uint32_t id = 0;
  bool takes_dynamic_servers = true;
  std::deque<ModelServer> servers;  // References stay good while others come.
  /// By its name; else the slot that stands for it, the one that serves first.
  [[nodiscard]] ModelServer* find(std::string_view server);
  /// As HAProxy itself does.
  [[nodiscard]] ModelServer* find_named(std::string_view server);
  [[nodiscard]] bool has_slots() const;
  [[nodiscard]] bool can_take_servers() const { return takes_dynamic_servers || has_slots(); }
};

class HaproxyProcess;

/// Is told of each change that a command makes. `before` and `after`: null where the server is not there.
class HaproxyWatcher {
 public:
  virtual ~HaproxyWatcher() = default;
  virtual void on_change(HaproxyProcess&, Hand, const ModelPool&, const ModelServer* before,
                         const ModelServer* after) = 0;
  /// Whose server it is that has got this address. Empty: nobody's that is known.
  virtual std::string label(const ModelPool&, const ModelServer&) { return {}; }
};

class HaproxyProcess {
 public:
  HaproxyProcess(HaproxyVersion version, std::uint64_t pid, std::uint64_t start_seconds);

  /// The end of the configuration's lines.
  ModelPool& add_pool(const std::string& name, bool takes_dynamic_servers);
  void add_static_server(std::string_view pool, const std::string& name, std::uint16_t port, std::uint32_t weight);
  /// `server-template PREFIX 1-COUNT 127.0.0.1:1 disabled`, with `check` if so.
  void add_slots(std::string_view pool, std::string_view prefix, std::uint32_t count, bool check);

  /// The answer to one line, without the prompt.
  std::string execute(Instant now, Hand hand, std::string_view line);

  [[nodiscard]] HaproxyVersion version() const { return version_; }
  [[nodiscard]] std::uint64_t pid() const { return pid_; }
  [[nodiscard]] std::deque<ModelPool>& pools() { return pools_; }
  [[nodiscard]] ModelPool* find_pool(std::string_view name);
  [[nodiscard]] ModelServer* find(std::string_view pool, std::string_view server);
  [[nodiscard]] ModelServer* find(std::uint64_t serial);

  bool stopping = false;
  std::uint64_t connections = 0;   // Of clients.
  bool permission_denied = false;  // The socket's level is below admin.
  HaproxyWatcher* watcher = nullptr;

 private:
  struct Words;
  std::string show(Instant now, const Words& words);
  [[nodiscard]] std::string show_info() const;
  [[nodiscard]] std::string show_state(std::string_view only_pool) const;
  [[nodiscard]] std::string show_stat(const Words& words) const;
  std::string add(Instant now, Hand hand, const Words& words);
  std::string del(Instant now, Hand hand, ModelPool& pool, ModelServer& server);
  std::string set(Instant now, const ModelPool& pool, ModelServer& server, const Words& words);
  std::string set_address(const ModelPool& pool, ModelServer& server, const Words& words);
  void set_admin(Instant now, ModelServer& server, std::uint32_t admin);
  /// With as many line feeds as this version ends such a text with.
  [[nodiscard]] std::string text(std::string_view words, bool one_line_feed_on_26) const;

  HaproxyVersion version_;
  std::uint64_t pid_;
  std::uint64_t start_seconds_;
  std::deque<ModelPool> pools_;
  std::uint64_t serials_ = 0;
};

}  // namespace shoal::test
