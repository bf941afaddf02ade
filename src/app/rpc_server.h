// Serf's agent RPC of a running node, both roles (gossip-protocol facts 6): rpc/'s sessions on TCP, over the same
// commands of gossip as the control socket has. `serf members -rpc-addr=...` and libraries made for serf work with it.
//
// Where it differs from a stock agent: docs/serf-compatibility.md.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/gossip_driver.h"
#include "app/operator_join.h"
#include "base/log.h"
#include "config/config.h"
#include "reactor/loop.h"
#include "reactor/tcp_stream.h"
#include "rpc/session.h"

namespace shoal::app {

/// A member as clients see it; null for a forgotten one. Its texts are borrowed.
[[nodiscard]] rpc::Member rpc_member(std::string_view name, const serf::Member* member);

class RpcServer final : private reactor::StreamHandler, private GossipListener {
 public:
  static constexpr std::uint32_t kConnectionsMax = 16;  // More are closed at once.
  static constexpr Duration kShyMost = 10s;             // To say the handshake, and the key where there is one.
  static constexpr Duration kStuckMost = 60s;           // For a client that does not read what waits for it.
  static constexpr std::size_t kLogLinesMax = 512;      // Kept for a monitor that begins.

  /// What the role's app does.
  struct Role {
    std::function<void()> tags_changed;  // GossipDriver::operator_tags; tell the others.
    std::function<std::string()> stop;   // As on SIGTERM. Gives why not; empty: it has begun, now or before.
  };

  RpcServer(reactor::Loop& loop, const config::Config& config, Log& log, GossipDriver& gossip, Role role);
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  /// Listens where the settings say, if they do. Logs where (info). The error names the setting and the fix.
  [[nodiscard]] Result<void> open();
  /// Answers who has asked for the leave, and ends every connection.
  void close();

 private:
  struct Client {
    Client(reactor::TcpStream& its_stream, std::string_view auth_key, Instant deadline)
        : stream(its_stream), connection(its_stream.id()), session(auth_key), shy_until(deadline) {}

    reactor::TcpStream& stream;
    const std::uint64_t connection;
    rpc::Session session;
    std::vector<std::uint8_t> sending;
    Instant shy_until;
    Instant stuck_at = kNever;    // Unless what is being sent has gone by then.
    Instant closing_at = kNever;  // All is said, and our half is closed.
    bool peer_ended = false;
    bool leaves = false;  // It has asked for the leave, and is answered at the end.

    [[nodiscard]] Instant next_deadline() const {
      const Instant shy = session.is_welcome() ? kNever : shy_until;
      return earlier(earlier(session.next_deadline(), shy), earlier(stuck_at, closing_at));
    }
  };

  // reactor::StreamHandler
  void on_accepted(reactor::TcpStream& stream) override;
  void on_connected(reactor::TcpStream& stream) override;
  void on_failed(reactor::TcpStream& stream, reactor::StreamEnd why) override;
  void on_bytes(reactor::TcpStream& stream, Bytes bytes) override;
  void on_end(reactor::TcpStream& stream) override;
  void on_written(reactor::TcpStream& stream) override;
  void on_closed(reactor::TcpStream& stream, reactor::StreamEnd why) override;

  // GossipListener
  void on_member(serf::MemberEventKind kind, std::string_view name, const serf::Member* member) override;
  void on_user_event(serf::LamportTime ltime, std::string_view name, Bytes payload, bool coalesce) override;
  void on_query(std::uint64_t ref, const serf::QueryEvent& query) override;
  bool on_response(const serf::ResponseEvent& response) override;
  void on_join(const serf::JoinEvent& join) override { join_.on_join(join); }

  // Requests. Each answers, or sees to it that somebody does.
  void serve(Client& client, const rpc::Request& request);
  void event(Client& client, const rpc::Request& request);
  void force_leave(Client& client, const rpc::Request& request);
  void join(Client& client, const rpc::Request& request);
  void members(Client& client, const rpc::Request& request);
  void tags(Client& client, const rpc::Request& request);
  void leave(Client& client);
  void query(Client& client, const rpc::Request& request);
  void respond(Client& client, const rpc::Request& request);
  void change_keys(Client& client, const rpc::Request& request);
  void stats(Client& client);
  void get_coordinate(Client& client, const rpc::Request& request);

  /// Serves what has come, then as the next. The client may be gone afterwards.
  void proceed(Client& client);
  /// Sends what waits, ends what is over. The client may be gone afterwards.
  void send(Client& client);
  void drop(Client& client);
  void on_timer();
  void arm();
  void on_log(LogLevel level, std::string_view text);
  /// The client that a later answer is for; null when it has gone.
  [[nodiscard]] Client* client_of(std::uint64_t connection);
  template <typename F>
  void each_client(F&& f);

  struct LogLine {
    rpc::MonitorLevel level = rpc::MonitorLevel::kInfo;
    std::string text;
  };

  reactor::Loop& loop_;
  const config::Config& config_;
  Log& log_;
  GossipDriver& gossip_;
  Role role_;
  reactor::StreamPool streams_;
  reactor::TcpListener listener_;
  reactor::Timer timer_;
  OperatorJoin join_;
  std::vector<std::unique_ptr<Client>> clients_;  // Beside the pool.
  std::deque<LogLine> lines_;
  bool open_ = false;
};

}  // namespace shoal::app
