// What the sidecar knows of each node: the member's address and status as gossip says, and the task's last word. Facts
// only; what to do about them is desired_state.h's.
//
//   start       one life of a task, told apart by start_id (0 = a Go peer)
//   word        one announce, solicit answer or depart; within a start the highest seq is the last word
//   place       address:port; the address is always the member's own
//   tombstone   what is remembered of a start that departed or was forgotten, so that a late word cannot revive it
#pragma once

#include <cstdint>
#include <string_view>

#include "announce/messages.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "base/time.h"
#include "haproxy/runtime_codec.h"
#include "sidecar/last_pool.h"

namespace shoal::sidecar {

/// kRemembered: from the last pool's file; gossip has not found the node since.
enum class MemberStatus : std::uint8_t { kAlive, kSuspect, kLeaving, kLeft, kFailed, kReaped, kRemembered };

struct RegistryOptions {
  std::uint32_t members_max = 10000;
  std::uint32_t tombstones_max = 10000;  // Full: the oldest goes.
  Duration tombstone_life = 24h;
  announce::PoolName default_pool{"shoal"};
  FixedString<32> server_prefix{"shoal-"};
};

/// How far the service's place has been shown to answer.
enum class Reach : std::uint8_t { kUnknown, kQueued, kTrying, kReached, kFailed };
enum class VerifyResult : std::uint8_t { kConnected, kRefused, kTimedOut, kUnreachable };

struct Fact {
  announce::NodeName node;
  bool used = false;

  bool is_member = false;
  MemberStatus status = MemberStatus::kReaped;
  IpAddress addr;
  Instant gone_since = kNever;  // When it failed or left; kNever while it is there.
  Instant back_since = kNever;  // When it was there again after that.
  bool failed_last = false;     // It failed rather than left; also once it has been reaped.

  bool has_word = false;
  announce::Announcement word;  // `pool` is filled in; a depart fills port, pool and generation.
  bool departed = false;        // Final for its start; for a while: word.state is kDeparting without this.
  bool needs_word = false;      // Failed or left since the last word: that word does not count any more.
  bool shadowed = false;        // Another alive task announced this place later, or has it while this one is gone.
  announce::Wish wish = announce::Wish::kNone;  // An operator's, by way of the task's tag.
  bool name_taken = false;                      // Another node holds the server's name.
  bool servable = true;                         // Could be served at all; a word that cannot takes nobody's place.
  std::uint64_t claim = 0;                      // Order of the first announce of each start.
  haproxy::ServerName server;                   // Empty without a word.

  Reach reach = Reach::kUnknown;
  VerifyResult reach_result = VerifyResult::kConnected;
  std::uint32_t reach_failures = 0;
  Instant reach_retry_at = kNever;

  bool server_changed = false;  // By the last word: what stands under the old name is nobody's. The core clears it.
  bool changed = false;         // In the registry's list of changed facts.
  bool standing_due = false;    // The core has a StandingChanged to emit.

  [[nodiscard]] Endpoint place() const { return Endpoint{addr, word.port}; }
  /// For good or for a while.
  [[nodiscard]] bool departs() const { return departed || word.state == announce::TaskState::kDeparting; }
  [[nodiscard]] bool is_there() const {
    return is_member &&
           (status == MemberStatus::kAlive || status == MemberStatus::kSuspect || status == MemberStatus::kRemembered);
  }
};

/// As it goes into the last pool's file.
[[nodiscard]] LastServer to_last_server(const Fact& fact);

/// What became of a word.
enum class WordVerdict : std::uint8_t {
  kTaken,
  kStale,  // An older start, an older seq, or a start that has departed. Nothing changed.
  kFull,   // No room for another node. Nothing changed.
};

class Registry {
 public:
  static constexpr std::uint32_t kNone = NameIndex::kNone;

  explicit Registry(const RegistryOptions& options);

  /// The node's fact, or kNone when there is no room for it.
  std::uint32_t on_member(Instant now, std::string_view node, const IpAddress& addr, MemberStatus status);
  /// An operator's wish for the node's server. An unknown node has none.
  void set_wish(std::string_view node, announce::Wish wish);
  /// A server of the last pool: as if its node were there and had announced it, until gossip says otherwise.
  std::uint32_t remember(Instant now, const LastServer& server);
  [[nodiscard]] WordVerdict on_announcement(Instant now, std::string_view node, const announce::Announcement& word);
  [[nodiscard]] WordVerdict on_departure(Instant now, std::string_view node, const announce::Departure& word);
  /// Whether the fact's word could be served: allowed, and its pool exists. The core knows; true until it says
  /// otherwise.
  void set_servable(std::uint32_t index, bool servable);
  /// A reaped member of which nothing is left in HAProxy.
  void forget(Instant now, std::uint32_t index);
  /// Whether a task that is there and ready is known at this place.
  [[nodiscard]] bool is_taken(const Endpoint& place) const;

  /// The fact that has, or had, this place in this pool: one that wants requests there before any other, one that
  /// departed last.
  [[nodiscard]] std::uint32_t find_place(std::string_view pool, const Endpoint& place) const;

  /// Facts that the last words changed, others' included (a place that went from one task to another): call until
  /// false.
  [[nodiscard]] bool take_changed(std::uint32_t& index);

  [[nodiscard]] std::uint32_t find(std::string_view node) const;
  /// The fact whose server has this name.
  [[nodiscard]] std::uint32_t find_server(std::string_view server) const;
  [[nodiscard]] std::size_t size() const { return facts_.size(); }  // Unused records included: look at `used`.
  [[nodiscard]] Fact& operator[](std::uint32_t index) { return facts_[index]; }
  [[nodiscard]] const Fact& operator[](std::uint32_t index) const { return facts_[index]; }
  /// Grows with whatever may change what is wanted.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  [[nodiscard]] std::uint64_t refused_full() const { return refused_full_; }
  [[nodiscard]] std::uint64_t stale_words() const { return stale_words_; }

  /// The name that this start of the node has in HAProxy; `port` names the start of a Go peer.
  [[nodiscard]] haproxy::ServerName server_name(std::string_view node, std::uint64_t start_id,
                                                std::uint16_t port) const;

 private:
  struct Tombstone {
    std::uint64_t start = 0;  // Hash of node and start_id.
    std::uint64_t seq = 0;
    bool departed = false;
    Instant until;
  };

  std::uint32_t find_or_add(std::string_view node);
  [[nodiscard]] bool is_stale(const Fact& fact, Instant now, const announce::Generation& generation,
                              bool is_fresh) const;
  void take_word(Instant now, std::uint32_t index, const announce::Announcement& word);
  void set_server(std::uint32_t index, const haproxy::ServerName& server);
  void mark_changed(std::uint32_t index);
  void set_place_key(std::uint32_t index);
  [[nodiscard]] static std::uint64_t place_key(const Endpoint& place);
  void settle_places(const Endpoint& place);
  [[nodiscard]] static bool speaks(const Fact& fact);
  [[nodiscard]] static bool wants_its_place(const Fact& fact);
  void bury(Instant now, const Fact& fact);
  [[nodiscard]] static std::uint64_t start_key(std::string_view node, std::uint64_t start_id);

  RegistryOptions options_;
  FixedVector<Fact> facts_;
  FixedVector<std::uint64_t> place_keys_;  // Of each fact, side by side: searched on every new word.
  FixedVector<std::uint32_t> free_;
  FixedVector<std::uint32_t> changed_;
  NameIndex by_node_;
  NameIndex by_server_;
  Ring<Tombstone> tombstones_;
  std::uint64_t claims_ = 0;
  std::uint64_t changes_ = 0;
  std::uint64_t refused_full_ = 0;
  std::uint64_t stale_words_ = 0;
};

}  // namespace shoal::sidecar
