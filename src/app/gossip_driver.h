// serf::Node on the reactor: its socket, its listener, its streams, its timer, its seeds. Both roles have one.
//
// Packets and streams leave at once; news is given to the handler at the end of the turn, so that nothing happens in
// the middle of a core's input.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "announce/codec.h"
#include "announce/member.h"
#include "app/gossip_sockets.h"
#include "app/snapshot_file.h"
#include "base/log.h"
#include "base/result.h"
#include "config/config.h"
#include "reactor/loop.h"
#include "reactor/resolver.h"
#include "reactor/tcp_stream.h"
#include "serf/key_tally.h"
#include "serf/node.h"
#include "serf/seeds.h"

namespace shoal::app {

/// What gossip has to tell. Called at the end of a turn; may give the driver any command.
class GossipHandler {
 public:
  /// `member` is null for a reaped one.
  virtual void on_member(serf::MemberEventKind kind, std::string_view name, const serf::Member* member) = 0;
  /// Answer with GossipDriver::answer and this ref.
  virtual void on_query(std::uint64_t ref, const serf::QueryEvent& query) = 0;
  /// `token` as given to `ask`.
  virtual void on_response(std::uint64_t token, std::string_view from, Bytes payload) = 0;
  /// The question could not be sent at all.
  virtual void on_ask_failed(std::uint64_t token) = 0;
  virtual void on_left() = 0;
  /// This node goes on under another name: everything that was announced has to be said again.
  virtual void on_renamed() = 0;

 protected:
  ~GossipHandler() = default;
};

/// Who hears gossip's news beside the role's app: serf's RPC. Called at the end of a turn, each time before the
/// handler.
class GossipListener {
 public:
  /// `member` is null for a reaped one.
  virtual void on_member(serf::MemberEventKind kind, std::string_view name, const serf::Member* member) = 0;
  virtual void on_user_event(serf::LamportTime ltime, std::string_view name, Bytes payload, bool coalesce) = 0;
  virtual void on_query(std::uint64_t ref, const serf::QueryEvent& query) = 0;
  /// An ack or an answer; true: to a query of this listener's own.
  virtual bool on_response(const serf::ResponseEvent& response) = 0;
  virtual void on_join(const serf::JoinEvent& join) = 0;

 protected:
  ~GossipListener() = default;
};

/// A question to one node.
struct Question {
  std::uint64_t token = 0;
  announce::Route route = announce::Route::kDirectUdp;
  Endpoint to;
  std::string_view node;
  std::string_view query;
  Bytes payload;
  Duration timeout = 5s;
};

using Tags = std::vector<std::pair<std::string, std::string>>;

/// Tag that tells shoal from a Go prototype or a stock agent with the same role: the version of our query fields.
inline constexpr std::string_view kShoalTag = "shoal";
inline constexpr std::string_view kShoalTagValue = "1";

/// The own tags and the operator's, of a node in this state.
[[nodiscard]] Tags tags_of(std::span<const config::Tag> operators, std::string_view role, std::string_view state);
/// All tags together have to fit into a member's 512 bytes, whatever its state.
[[nodiscard]] Result<void> check_tags(std::span<const config::Tag> operators);

class GossipDriver final : private reactor::StreamHandler {
 public:
  GossipDriver(reactor::Loop& loop, const config::Config& config, Log& log, GossipHandler& handler);
  ~GossipDriver();

  /// Reads the operator's gossip keys. The error names the setting and the fix.
  [[nodiscard]] Result<void> load_keys();
  /// Binds UDP and TCP. The error names the address and the fix.
  [[nodiscard]] Result<void> bind();
  /// Finds the address to tell the others (at most a second), then calls `ready`. It stays the same from then on.
  void find_address(std::function<void()> ready);
  /// Joins for ever. REQUIRES: find_address is done.
  void start(const Tags& tags);

  void set_tags(const Tags& tags);
  void ask(const Question& question);
  /// False: too large, too late, or answered before.
  bool answer(std::uint64_t ref, Bytes payload);
  /// Anti-entropy with one address, for a query from a node that we do not know yet.
  void push_pull(const Endpoint& to);
  void leave();
  /// The last words of a program that ends.
  void close();
  /// Reads the keyring file anew.
  void reload_keys();

  // For the operator's commands.
  using KeysDone = std::function<void(const serf::KeyTally&)>;
  /// One at a time: false while another is under way. `done` comes later, always.
  [[nodiscard]] bool key_operation(serf::KeyOperation operation, Bytes key, KeysDone done);
  /// False: our own name, or none that a member can have.
  [[nodiscard]] bool force_leave(std::string_view node, bool prune);
  /// False: larger than serf::kUserEventLimit, or without a name.
  [[nodiscard]] bool user_event(std::string_view name, Bytes payload, bool coalesce);
  /// The listener hears of what comes back. 0 = too large.
  [[nodiscard]] serf::QueryToken query(const serf::QueryParams& params);
  /// As serf's own `join`, once. The listener hears how it ended.
  void join(const Endpoint& to, bool replay);
  /// Changes the operator's tags of this node until its end: deletes, then sets. The role's app tells the others, by
  /// set_tags. The error says which tag is wrong; then nothing has changed.
  [[nodiscard]] Result<void> change_tags(std::span<const std::string_view> without,
                                         std::span<const std::pair<std::string_view, std::string_view>> with);
  [[nodiscard]] std::span<const config::Tag> operator_tags() const { return operator_tags_; }
  /// Null: nobody. It outlives this, or takes itself away.
  void set_listener(GossipListener* listener) { listener_ = listener; }
  /// One line about what came and could not be used; nothing when all was well.
  void log_refused();

  [[nodiscard]] const serf::Node& node() const { return *node_; }
  [[nodiscard]] std::uint16_t bound_port() const { return bound_.port; }
  [[nodiscard]] const Endpoint& advertise() const { return advertise_; }
  [[nodiscard]] bool started() const { return node_ != nullptr; }
  /// A join has succeeded, or there is nobody to join.
  [[nodiscard]] bool joined() const { return joined_; }

 private:
  struct OpenQuestion {
    serf::QueryToken query = 0;
    std::uint64_t token = 0;
  };
  struct PendingAsk {  // Waits for its push/pull.
    Question question;
    std::array<std::uint8_t, announce::kPayloadBytesMax> payload{};
    std::size_t payload_size = 0;
  };

  void on_accepted(reactor::TcpStream& stream) override;
  void on_connected(reactor::TcpStream& stream) override;
  void on_failed(reactor::TcpStream& stream, reactor::StreamEnd why) override;
  void on_bytes(reactor::TcpStream& stream, Bytes bytes) override;
  void on_end(reactor::TcpStream& stream) override;
  void on_written(reactor::TcpStream& stream) override;
  void on_closed(reactor::TcpStream& stream, reactor::StreamEnd why) override;

  /// Runs one command or input of the node: f(now).
  template <typename F>
  void drive(F&& f) {
    SHOAL_ASSERT(!driving_);
    driving_ = true;
    f(loop_.now());
    drain();
    driving_ = false;
  }
  void drain();
  void carry_out(const swim::StreamEffect& effect);
  void stream_over(reactor::TcpStream& stream);
  void end_stream(reactor::TcpStream& stream);
  void give_news();
  void tell_join(const serf::JoinEvent& join);
  void tell_conflict(const serf::ConflictEvent& conflict);
  void tell_rename(const serf::RenameEvent& rename);
  void tell_blocked(const serf::BlockedEvent& blocked);
  void tell_foreign(const serf::ForeignEvent& foreign);
  void tell_user_event(serf::LamportTime ltime, std::string_view name, Bytes payload, bool coalesce);
  void give_user_events();
  void give_responses();
  void on_member(const serf::MemberEvent& event);
  void keep_keyring();
  [[nodiscard]] std::string written_keyring();
  void finish_keys();
  void rejoin_next();
  void on_stranger(const Endpoint& source);
  void send_question(const Question& question, serf::Route route);
  void run_seeds(serf::Seeds::Effects& effects);
  void on_resolved(const reactor::Resolved& answer);
  void update_contact();
  void settle_address(std::span<const Endpoint> seeds);
  [[nodiscard]] IpAddress interface_address() const;
  [[nodiscard]] Result<void> bind_port(std::uint16_t port);
  [[nodiscard]] reactor::TcpStream* stream_of(swim::StreamId id);

  reactor::Loop& loop_;
  const config::Config& config_;
  Log& log_;
  GossipHandler& handler_;
  GossipListener* listener_ = nullptr;
  std::vector<config::Tag> operator_tags_;
  Endpoint bound_;
  Endpoint advertise_;
  std::function<void()> address_ready_;

  std::unique_ptr<TextStore> texts_;  // Of the node.
  std::unique_ptr<serf::Node> node_;
  std::unique_ptr<serf::Seeds> seeds_;
  serf::Outbox outbox_;
  serf::Outbox news_;  // Of this turn.
  bool driving_ = false;
  bool giving_news_ = false;
  bool contact_stale_ = true;
  bool joined_ = false;
  bool join_trouble_told_ = false;
  static constexpr Duration kStrangerPause = 1s;
  Endpoint stranger_;  // With whom an exchange is under way.
  Instant stranger_after_{};
  Instant conflict_after_{};
  Instant blocked_after_{};
  std::array<Instant, static_cast<std::size_t>(swim::Refusal::kCount)> foreign_after_{};

  serf::KeyList keys_;  // Until the node has them.
  serf::KeyTally key_tally_;
  KeysDone keys_done_;
  serf::EventCoalescer coalescer_;
  SnapshotFile snapshot_;
  std::vector<Endpoint> rejoin_;  // Of an earlier life, not tried yet.
  Endpoint rejoining_;

  FixedVector<OpenQuestion> questions_;
  FixedVector<PendingAsk> pending_asks_;
  FixedVector<std::uint64_t> failed_asks_;
  std::vector<serf::QueryRef> refs_;
  std::uint64_t last_ref_ = 0;

  reactor::StreamPool streams_;
  std::vector<swim::StreamId> stream_ids_;  // Beside the pool: which stream of the core a slot serves; 0 = none.
  std::vector<bool> peer_ended_;            // It has said all while we were still writing.
  GossipSockets sockets_;
  reactor::Resolver resolver_;
  reactor::Timer node_timer_;
  reactor::Timer seeds_timer_;
  reactor::Timer address_timer_;
  reactor::Timer keys_timer_;
  reactor::Timer events_timer_;
};

}  // namespace shoal::app
