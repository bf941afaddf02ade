// The sidecar's side of the conversation: judges each `announce` and `depart`, hands what is true and new to the
// sidecar core, and answers when HAProxy has done it.
//
// Who may speak: the query's source node must be a member (here, for an announce; in any status, for a depart), and the
// query's Addr:Port that member's own. A node that is not known yet is held for up to 3 s while a push/pull asks its
// address (at most 1 for each address, 4 in all, 10 a minute). Whatever is wrong is answered in words and counted.
//
// Claims: that a member's address is its own is only said by itself. The first announcement of a start is therefore
// kept back until the member has answered a solicit sent to that address: with our nonce if it is shoal, at all if it
// is not. One round trip, so nothing is done in parallel with it: the sidecar core hears of confirmed claims alone.
// A peer that is not shoal and never answers (a stock agent whose script only announces) is believed once it has
// stayed alive for `quiet_peer_after` since: the gossip layer's probes go to that same address and name.
//
// News: within one start the higher seq; another start_id if it is higher, or if the known start was seen to end. What
// is stale, or follows the depart of its own start, is answered with what stands and goes no further. start_id 0 (a Go
// peer) has no order: there the last word wins.
//
// Answers: accepted when the Standing says so, refused when it gives a reason, `pending` after 4 s. A repetition while
// one waits is answered together with it.
//
//   statement              accepted means
//   ready                  Standing::in_rotation
//   unready, departing     Standing::out
//   depart                 Standing::out (and `drained` as it says)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "announce/codec.h"
#include "announce/member.h"
#include "announce/member_table.h"
#include "announce/messages.h"
#include "announce/registrar_effects.h"
#include "base/containers.h"
#include "base/endpoint.h"
#include "base/rng.h"
#include "base/time.h"

namespace shoal::announce {

/// A member of the cluster as the gossip layer tells it.
struct MemberChange {
  std::string_view name;
  Endpoint gossip;
  MemberStatus status = MemberStatus::kAlive;
  bool is_shoal = false;  // Understands shoal's own fields.
  bool is_task = false;   // Tag role=task: gets solicits.
};

/// A query as it came in. All of it is borrowed for the call.
struct Query {
  std::uint64_t ref = 0;  // The caller's; given back with the answer.
  std::string_view name;  // kAnnounceQuery or kDepartQuery.
  std::string_view source_node;
  Endpoint source;  // Addr and Port inside the query, not where the datagram came from.
  Bytes payload;
};

class Registrar final {
 public:
  struct Options {
    std::size_t members_max = 10'000;
    std::size_t queries_max = 256;      // Waiting for HAProxy; one more is answered `pending` at once.
    std::size_t held_max = 16;          // From unknown nodes; one more is refused at once.
    std::size_t solicits_max = 64;      // In flight; half of them are kept for claims.
    std::size_t tombstones_max = 1024;  // Departed starts of forgotten members, kept 24 h; the oldest goes first.
    bool allow_loopback = false;        // Gossip itself is on loopback.
    Duration solicit_interval = 30s;
    Duration pending_after = 4s;  // Below the query's Timeout of 5 s.
    Duration hold_unknown = 3s;
    Duration quiet_peer_after = 5s;
  };
  /// Each query and each solicit answer counts once, under what became of it.
  struct Counters {
    std::uint64_t announces_forwarded = 0;
    std::uint64_t announces_repeated = 0;  // The statement that stands, again.
    std::uint64_t departs_forwarded = 0;
    std::uint64_t departs_repeated = 0;
    std::uint64_t stale = 0;
    std::uint64_t refused_malformed = 0;
    std::uint64_t refused_port = 0;
    std::uint64_t refused_not_alive = 0;
    std::uint64_t refused_source = 0;   // Addr:Port is not the member's.
    std::uint64_t refused_address = 0;  // Loopback, link-local, multicast, unspecified.
    std::uint64_t refused_unknown = 0;  // Still no member after the hold, or no room to hold it.
    std::uint64_t unknown_query = 0;    // Neither announce nor depart: not answered.
    std::uint64_t claims_confirmed = 0;
    std::uint64_t claims_by_silence = 0;           // See quiet_peer_after.
    std::uint64_t solicit_answers_bad = 0;         // Malformed, wrong nonce or from somebody else.
    std::uint64_t solicit_answers_unexpected = 0;  // No such question under way.
    std::uint64_t members_refused = 0;             // The table is full.
    std::uint64_t pending_answers = 0;
  };

  Registrar(const Options& options, Rng rng, Instant now);

  /// At each change of a member's status, address or tags. Failing or leaving ends the known start: its next
  /// announcement is news again and its claim has to be confirmed again.
  void on_member(Instant now, const MemberChange& member, RegistrarOutbox& out);
  void on_query(Instant now, const Query& query, RegistrarOutbox& out);
  /// Whenever the sidecar core's standing of that node has changed, and once after each Forward*.
  void on_standing(Instant now, std::string_view node, const Standing& standing, RegistrarOutbox& out);
  void on_solicit_answer(Instant now, std::uint64_t token, std::string_view from, Bytes payload, RegistrarOutbox& out);
  void on_deadline(Instant now, RegistrarOutbox& out);

  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] std::size_t members() const { return members_.size(); }
  [[nodiscard]] std::size_t queries_waiting() const { return waiting_.size() + held_.size(); }
  /// The task has announced, with a confirmed claim, in its present life.
  [[nodiscard]] bool knows_well(std::string_view node) const;

 private:
  enum class Kind : std::uint8_t { kAnnounce, kDepart };
  /// A judged query that HAProxy has not carried out yet.
  struct Waiting {
    std::uint64_t ref = 0;
    std::uint32_t member = 0;
    Kind kind = Kind::kAnnounce;
    Instant answer_by{};
  };
  /// A query from a node that is not known yet.
  struct Held {
    std::uint64_t ref = 0;
    Kind kind = Kind::kAnnounce;
    NodeName node;
    Endpoint source;
    FixedBytes<kPayloadBytesMax> payload;
    Instant until{};
  };
  struct PushPullUnderWay {
    Endpoint with;
    Instant until{};
  };
  /// A solicit under way; several tries of it share one record and one nonce.
  struct Asking {
    std::uint32_t member = 0;
    InlineVector<std::uint64_t, 5> tokens;  // One for each try.
    std::uint64_t nonce = 0;
    std::uint32_t tries = 0;
    Instant next_try{};
  };
  struct Tombstone {
    std::uint64_t name_hash = 0;
    Generation generation;
    Instant until{};
  };
  enum class Freshness : std::uint8_t { kNews, kRepeat, kStale };

  // Queries (registrar.cc).
  void judge(Instant now, Kind kind, std::uint64_t ref, std::string_view node, const Endpoint& source, Bytes payload,
             RegistrarOutbox& out);
  void judge_announcement(Instant now, std::uint64_t ref, std::uint32_t slot, Bytes payload, RegistrarOutbox& out);
  void judge_departure(Instant now, std::uint64_t ref, std::uint32_t slot, Bytes payload, RegistrarOutbox& out);
  [[nodiscard]] std::optional<Freshness> freshness_of_start(const MemberRecord& member, const Generation& said) const;
  [[nodiscard]] Freshness freshness(const MemberRecord& member, const Announcement& said) const;
  [[nodiscard]] Freshness freshness(const MemberRecord& member, const Departure& said) const;
  void take(Instant now, std::uint32_t slot, const Announcement& said, RegistrarOutbox& out);
  void forward(std::uint32_t slot, RegistrarOutbox& out);
  void hold(Instant now, Kind kind, const Query& query, RegistrarOutbox& out);
  void ask_address(Instant now, const Endpoint& address, RegistrarOutbox& out);
  void release_held(Instant now, std::string_view node, RegistrarOutbox& out);
  void forget(Instant now, std::uint32_t slot, RegistrarOutbox& out);
  void recall_tombstone(Instant now, MemberRecord& record);
  [[nodiscard]] bool is_refused_address(const IpAddress& address) const;

  // Answers (registrar_answers.cc).
  void wait_or_answer(Instant now, Kind kind, std::uint64_t ref, std::uint32_t slot, RegistrarOutbox& out);
  [[nodiscard]] bool answer_if_settled(Kind kind, std::uint64_t ref, const MemberRecord& member, RegistrarOutbox& out);
  void answer_pending(Kind kind, std::uint64_t ref, const MemberRecord& member, RegistrarOutbox& out);
  void answer_as_it_stands(Kind kind, std::uint64_t ref, const MemberRecord& member, RegistrarOutbox& out);
  void refuse(Kind kind, std::uint64_t ref, Reason reason, std::string_view text, RegistrarOutbox& out);

  // Solicits (registrar_solicits.cc).
  [[nodiscard]] static bool is_known_well(const MemberRecord& member);
  [[nodiscard]] bool is_asking(std::uint32_t slot) const;
  void want_solicit(std::uint32_t slot, bool urgent);
  void unwant_solicit(std::uint32_t slot);
  void want_all_not_known_well();
  void start_wanted_solicits(Instant now, RegistrarOutbox& out);
  void solicit(Instant now, Asking& asking, RegistrarOutbox& out);
  void go_on_asking(Instant now, RegistrarOutbox& out);
  void stop_asking(std::uint32_t slot);
  void take_solicited(Instant now, std::uint32_t slot, const Announcement& said, RegistrarOutbox& out);

  void tick(Instant now, const RegistrarOutbox& out);

  Options options_;
  Rng rng_;
  Instant now_;
  MemberTable members_;
  FixedVector<Waiting> waiting_;
  FixedVector<Held> held_;
  InlineVector<PushPullUnderWay, 4> push_pulls_;
  std::uint32_t push_pull_tokens_ = 10;  // A bucket of 10, one more each 6 s: 10 a minute.
  Instant push_pull_refilled_{};
  FixedVector<Asking> asking_;
  Ring<std::uint32_t> wanted_;         // Slots to be solicited, each at most once in each queue.
  Ring<std::uint32_t> wanted_urgent_;  // Claims: before the others.
  Instant next_round_;                 // Of solicits to all tasks that are not known well.
  Ring<Tombstone> tombstones_;
  std::uint64_t next_token_ = 1;
  Counters counters_;
};

}  // namespace shoal::announce
