// One connection of a client of serf's agent RPC (gossip-protocol facts 6): who may speak, whose turn it is, what it
// has subscribed to. The owner carries out requests and has the connection.
//
//   session.on_bytes(bytes);
//   while (const Request* request = session.next()) ... session.answer(...)      // at once, or later
//   bytes to send: session.take_output(); session.wants_close(): once all is sent
//
// Requests are served one after the other, in the order in which they came; the next one waits for the answer to the
// one before. Records of streams, monitors and queries come between complete answers. What a client is too slow for is
// dropped and counted: records at kRecordBytesMax of unsent bytes; its requests wait there too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "rpc/filter.h"
#include "rpc/message.h"

namespace shoal::rpc {

/// As in serf's log lines, the smallest first.
enum class MonitorLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kErr };
[[nodiscard]] std::string_view to_text(MonitorLevel level);

class Session {
 public:
  static constexpr std::size_t kRequestBytesMax = std::size_t{64} << 10;
  static constexpr std::size_t kRecordBytesMax = std::size_t{256} << 10;
  static constexpr std::size_t kStreamsMax = 16;         // Streams and monitors.
  static constexpr std::size_t kQueriesMax = 64;         // Of this client, open at once.
  static constexpr std::size_t kPendingQueriesMax = 64;  // Of others, told to this client; the oldest gives way.
  static constexpr int kWrongKeysMax = 3;                // Then the connection ends.

  /// `auth_key`: empty: none is asked for. Must outlive this.
  explicit Session(std::string_view auth_key) : auth_key_(auth_key) {}

  /// From the client. REQUIRES: wants_bytes().
  void on_bytes(Bytes bytes);
  [[nodiscard]] bool wants_bytes() const { return !closing_ && input_.size() < kRequestBytesMax; }

  /// The next request that the owner has to answer, or nullptr while there is none. What needs no owner (handshake,
  /// auth, stream, monitor, stop, what is refused) has been answered. Its texts are borrowed until its answer or the
  /// next on_bytes.
  [[nodiscard]] const Request* next();
  /// Of the request that `next` gave last. An empty error: done.
  void answer(std::string_view error) { answer(error, {}); }
  /// The same with a body, which `body` appends to what it is given: one object.
  using Body = std::function<void(std::vector<std::uint8_t>& out)>;
  void answer(std::string_view error, const Body& body);
  /// A query's answer: from now on its records come, under `token`, until the deadline.
  void answer_query(std::uint64_t token, Instant deadline);

  // News. Each becomes a record for whoever has asked for it.
  void on_member(EventKind kind, const Member& member);
  void on_user_event(std::uint64_t ltime, std::string_view name, Bytes payload, bool coalesce);
  /// `ref`: the owner's, given back by find_query.
  void on_query(Instant now, std::uint64_t ref, Instant deadline, std::uint64_t ltime, std::string_view name,
                Bytes payload);
  /// To one of this client's queries; false: it is none.
  bool on_response(std::uint64_t token, bool ack, std::string_view from, Bytes payload);
  /// `line`: as a stock agent's log has it.
  void on_log(MonitorLevel level, std::string_view line);
  /// Ends queries whose time is over.
  void on_deadline(Instant now);
  [[nodiscard]] Instant next_deadline() const;

  /// The query of somebody else that this client knows by `id`; 0 = it is over, or there never was one.
  [[nodiscard]] std::uint64_t find_query(Instant now, std::uint64_t id) const;
  /// The sequence number of a monitor that has just begun, once: it wants to hear what was logged before.
  [[nodiscard]] bool take_new_monitor() { return std::exchange(monitor_is_new_, false); }

  [[nodiscard]] Bytes output() const { return output_; }
  /// Takes the output away: the owner has it now.
  [[nodiscard]] std::vector<std::uint8_t> take_output() { return std::exchange(output_, {}); }
  [[nodiscard]] bool wants_close() const { return closing_; }
  /// A request waits for the owner's answer.
  [[nodiscard]] bool is_answering() const { return request_size_ != 0; }
  /// It has said who it is, as far as it has to.
  [[nodiscard]] bool is_welcome() const { return shaken_ && authorised(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  struct Stream {
    std::uint64_t seq = 0;
    EventFilter filter;
  };
  struct Monitor {
    std::uint64_t seq = 0;
    MonitorLevel level = MonitorLevel::kInfo;
  };
  struct OpenQuery {
    std::uint64_t seq = 0;
    std::uint64_t token = 0;
    Instant deadline{};
  };
  struct PendingQuery {
    std::uint64_t id = 0;
    std::uint64_t ref = 0;
    Instant deadline{};
  };

  [[nodiscard]] bool authorised() const { return auth_key_.empty() || authorised_; }
  [[nodiscard]] bool handle_here();
  void handshake();
  void authenticate();
  void begin_stream();
  void begin_monitor();
  [[nodiscard]] bool seq_is_taken() const;
  /// Room for one more record.
  [[nodiscard]] bool has_room();
  void query_record(const OpenQuery& query, std::string_view type, std::string_view from, Bytes payload);

  std::string_view auth_key_;
  std::vector<std::uint8_t> input_;
  std::vector<std::uint8_t> output_;
  Request request_;
  std::size_t request_size_ = 0;  // Of the one being answered; 0 = none is.
  bool shaken_ = false;
  bool authorised_ = false;
  bool closing_ = false;
  bool monitor_is_new_ = false;
  int wrong_keys_ = 0;
  std::vector<Stream> streams_;
  std::optional<Monitor> monitor_;
  std::vector<OpenQuery> queries_;
  std::vector<PendingQuery> pending_;
  std::uint64_t last_id_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace shoal::rpc
