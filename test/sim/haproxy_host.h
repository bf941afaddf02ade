// A machine's HAProxy: its present process, the old ones that a reload left behind, their runtime socket with
// everything that can go wrong on it, and the requests that they serve.
//
// The socket is a kernel's: who connects reaches the process that listens then and stays with it. Bytes keep their
// order; they come late, in pieces, or not at all when the connection breaks, and then nobody knows how much was
// carried out. What a client has written before it closes may still be carried out.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "sim/haproxy_model.h"
#include "sim/timeline.h"

namespace shoal::test {

struct HostOptions {
  HaproxyVersion version = HaproxyVersion::k26;
  std::size_t cli_max = 10;      // Connections that are answered at once; one more waits until another closes.
  Duration latency_max = 200us;  // Each way; HAProxy's own slowness included.
  std::uint32_t late_ppm = 0;    // Of answers.
  Duration late_max{};
  std::uint32_t cut_ppm = 0;    // Answers that come in pieces.
  std::uint32_t break_ppm = 0;  // Answers with which the connection breaks.
  Duration hard_stop_after = 60s;
  Duration request_gap = 100ms;
  Duration request_longest = 12s;
  std::function<void(HaproxyProcess&)> configure;
};

/// Who is connected; `connection` is what connect() gave.
class HostClient {
 public:
  virtual ~HostClient() = default;
  virtual void on_connected(std::uint64_t connection) = 0;
  virtual void on_connect_failed(std::uint64_t connection) = 0;
  virtual void on_bytes(std::uint64_t connection, std::string_view bytes) = 0;
  virtual void on_closed(std::uint64_t connection) = 0;
};

class HaproxyHost {
 public:
  HaproxyHost(Timeline& timeline, Rng rng, const HostOptions& options, HostClient& client, HaproxyWatcher& watcher);

  // ---- the process
  void start();  // Nothing when one runs.
  void kill();
  void reload();  // Nothing when none runs. The old process goes on until it has no request and no connection.
  void wedge(Duration for_so_long);       // Nothing is read or answered on the socket.
  void take_slots(Duration for_so_long);  // Others hold all connections.
  void break_connections();
  void deny(bool denied);  // The socket's level, of later processes too.
  [[nodiscard]] HaproxyProcess* live() const { return live_ == nullptr ? nullptr : live_->process.get(); }
  [[nodiscard]] bool wedged() const { return live_ != nullptr && live_->wedged; }
  /// The present one last.
  template <typename F>
  void each_process(F&& f) const {
    for (const auto& running : processes_) f(*running->process);
  }
  /// By hand: not shoal's, at once. Empty when none runs.
  std::string by_hand(Hand hand, std::string_view line);
  HostOptions& options() { return options_; }

  // ---- the socket
  [[nodiscard]] std::uint64_t connect();
  void write(std::uint64_t connection, std::string_view bytes);
  void close(std::uint64_t connection);
  /// The process that the connection reaches; null when it is gone.
  [[nodiscard]] HaproxyProcess* process_of(std::uint64_t connection) const;

  // ---- requests
  void run_requests();  // From now on.
  /// Nobody answers there any more: the requests end.
  void end_requests(std::string_view address, std::uint16_t port);
  std::function<void(HaproxyProcess&, const ModelPool&, const ModelServer&)> on_request;
  std::function<void(HaproxyProcess&)> on_process_end;  // It is no longer the present one in a moment.
  std::uint64_t requests = 0;

 private:
  struct Running {
    std::unique_ptr<HaproxyProcess> process;
    bool wedged = false;
    std::uint32_t wedges = 0;
    std::size_t cli_open = 0;
    std::size_t in_flight = 0;
  };
  struct Connection {
    Running* to = nullptr;  // Null: not connected yet, or the process is gone.
    bool served = false;
    bool interactive = false;
    bool client_here = true;
    std::string input;
    std::deque<std::string> in_pieces, out_pieces;
    Instant last_in{}, last_out{};
  };
  struct Request {
    Running* at = nullptr;
    std::uint64_t server = 0;
    bool queued = false;
    std::string address;
    std::uint16_t port = 0;
  };

  [[nodiscard]] Duration latency() { return rng_.below(options_.latency_max) + 1us; }
  Connection* find(std::uint64_t connection);
  void establish(std::uint64_t connection);
  void serve(std::uint64_t connection);
  void serve_waiting(Running& running);
  void arrive(std::uint64_t connection);
  void work(std::uint64_t connection);
  void send(std::uint64_t connection, const std::string& bytes);
  void deliver(std::uint64_t connection);
  void break_off(std::uint64_t connection);
  void free_slot(Connection& connection);
  void end(Running& running);
  void end_if_idle(Running& running);
  void unwedge(std::uint64_t pid, std::uint32_t wedge);
  Running* running_of(std::uint64_t pid);
  void next_request();
  void begin_request();
  void end_request(std::uint64_t request);

  Timeline& timeline_;
  Rng rng_;
  HostOptions options_;
  HostClient& client_;
  HaproxyWatcher& watcher_;
  std::vector<std::unique_ptr<Running>> processes_;
  Running* live_ = nullptr;
  std::map<std::uint64_t, Connection> connections_;
  std::map<std::uint64_t, Request> requests_;
  std::uint64_t connections_made_ = 0;
  std::uint64_t pids_ = 5000;
  bool denied_ = false;
  std::uint32_t slots_taken_ = 0;  // By so many at once.
  bool runs_requests_ = false;
};

}  // namespace shoal::test
