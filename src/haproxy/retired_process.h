// An old HAProxy process that still has requests: after a reload, or while HAProxy stops for good.
//
//   watched server -> `show stat` -> count ... -> 0, told once
//   `show info` -> stopping and no connection left -> finished, the connection is closed at once
//
// A stopping process takes no change of its servers ("Proxy is disabled.", all versions), so it is only asked; it ends
// its own keep-alive connections after their present request. Our open connection would keep it alive for ever (tried),
// so it is closed as soon as no client's connection is left there, and after a bound of time whatever is left.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/containers.h"
#include "base/time.h"
#include "haproxy/runtime_codec.h"

namespace shoal::haproxy {

struct RetiredOptions {
  Duration answer_deadline = 2s;
  Duration poll_min = 10ms;   // While requests of watched servers are in flight; doubles up to poll_max.
  Duration poll_max = 250ms;  // Also when nothing is watched.
  Duration lifetime_max = 1h;
};

/// What one input of a retired process caused. At most kQuestionsMax counts.
struct RetiredEffects {
  static constexpr std::size_t kQuestionsMax = 32;
  struct Count {
    std::uint32_t tag = 0;
    std::uint64_t in_flight = 0;
  };
  InlineVector<Count, kQuestionsMax> counts;
  bool ended = false;        // Close the connection. The process is not asked any more.
  bool is_finished = false;  // With `ended`: it has no request any more; else that is not known.
  std::string_view why;      // With `ended`: for people; lives as long as the program.
};

class RetiredProcess {
 public:
  static constexpr std::size_t kWatchedMax = 256;
  explicit RetiredProcess(const RetiredOptions& options);

  /// Goes on with a connection in prompt mode on which `unanswered` commands are under way. Asks nothing before their
  /// answers have come, which are skipped.
  void take_over(Instant now, const Info& process, std::uint32_t unanswered);
  /// Reaches the process over a new connection to the master's socket: the shell is to connect.
  void reach(Instant now, const Info& process);
  void on_connected(Instant now, ByteWriter& out);
  void on_bytes(Instant now, Bytes bytes, ByteWriter& out, RetiredEffects& effects);
  void on_closed(RetiredEffects& effects);
  void on_deadline(Instant now, ByteWriter& out, RetiredEffects& effects);
  [[nodiscard]] Instant next_deadline() const;
  void stop() { stage_ = Stage::kNone; }

  /// Counts this server's requests from now on, until none is left. False when it is full: again after a count of 0.
  [[nodiscard]] bool watch(Instant now, const BackendName& backend, const ServerName& server, std::uint32_t id,
                           std::uint32_t tag);

  [[nodiscard]] bool is_active() const { return stage_ != Stage::kNone; }
  [[nodiscard]] const Info& process() const { return process_; }
  [[nodiscard]] Instant since() const { return since_; }

 private:
  enum class Stage : std::uint8_t { kNone, kConnecting, kGreeting, kSkipping, kIdle, kAsking };
  struct Watched {
    BackendName backend;
    ServerName server;
    std::uint32_t id = 0;
    std::uint32_t tag = 0;
    std::uint64_t in_flight = 0;
    bool is_done = false;
  };

  void ask(Instant now, ByteWriter& out);
  void put_prefix(ByteWriter& out) const;
  void take_reply(Instant now, std::string_view reply, RetiredEffects& effects);
  void take_count(std::string_view reply, RetiredEffects& effects);
  void take_info(Instant now, std::string_view reply, RetiredEffects& effects);
  void end(bool is_finished, std::string_view why, RetiredEffects& effects);

  RetiredOptions options_;
  Stage stage_ = Stage::kNone;
  Framing framing_;
  Info process_;
  Instant since_;
  Instant answer_until_ = kNever;
  Instant poll_at_ = kNever;
  Duration poll_;
  std::uint32_t unanswered_ = 0;  // Of the commands before ours.

  FixedVector<Watched> watched_;
  std::size_t first_asked_ = 0;  // Of the round under way; it wraps around at round_size_.
  std::size_t round_size_ = 0;
  std::size_t asked_ = 0;
  std::size_t answered_ = 0;

  Buffer reply_;
  std::size_t reply_size_ = 0;
};

}  // namespace shoal::haproxy
