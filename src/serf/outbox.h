// What a call into serf::Node wants from the outside: packets and streams as swim's outbox has them, and news. The
// caller owns it, passes it in empty, drains all of it, and clears it before the next call.
#pragma once

#include "serf/members.h"
#include "serf/queries.h"
#include "serf/user_events.h"
#include "swim/core.h"

namespace shoal::serf {

/// kLeaving: it has said that it goes (serf itself has no event for that); kLeave: it is gone.
enum class MemberEventKind : std::uint8_t { kJoin, kLeaving, kLeave, kFailed, kUpdate, kReap };
[[nodiscard]] std::string_view to_text(MemberEventKind kind);

/// For all but kReap the member can be looked up in Node::members().
struct MemberEvent {
  MemberEventKind kind = MemberEventKind::kJoin;
  NodeName name;
};

inline constexpr std::size_t kQueryBytesMax = 1024;

/// A query that is meant for this node.
struct QueryEvent {
  QueryRef ref;
  FixedString<128> name;
  NodeName source;
  FixedBytes<kQueryBytesMax> payload;
};

/// An answer to one of our own queries.
struct ResponseEvent {
  QueryToken token = 0;
  bool ack = false;
  NodeName from;
  FixedBytes<kQueryBytesMax> payload;
};

/// A user event, told once.
struct UserEventNews {
  LamportTime ltime = 0;
  FixedString<kUserEventBytesMax> name;
  FixedBytes<kUserEventBytesMax> payload;
  bool coalesce = false;
};

/// A push/pull that was asked for has ended.
struct JoinEvent {
  Endpoint to;
  bool ok = false;
  FixedString<160> error;
};

/// Somebody looked for another name at our address: it may know a cluster that has forgotten us.
struct StrangerEvent {
  Endpoint source;
};

/// A living member's name was announced from another address.
struct ConflictEvent {
  NodeName name;
  Endpoint existing;
  Endpoint other;
};

/// Another node kept our name, or it has no incarnation left; we go on under a new one.
struct RenameEvent {
  NodeName old_name;
  NodeName new_name;
  Endpoint other;  // Where the other one is; nobody's: there is none.
};

/// A probed member answers over TCP but not by datagram.
struct BlockedEvent {
  NodeName name;
  Endpoint endpoint;
};

/// Something that is not encrypted or labelled as our gossip is, and so says nothing to us.
struct ForeignEvent {
  Endpoint from;
  swim::Refusal why = swim::Refusal::kBadKey;
};

/// A key query has changed Node::keyring(). Who asked is told by Node::answer_key_change, once the operator's file has
/// the change too: nobody shall hear of a success that a restart undoes.
struct KeyringChange {
  QueryRef ref;
};

class Outbox {
 public:
  // One push/pull can bring every member at once; the others are bounded by what one datagram or a turn can hold. What
  // does not fit is dropped and counted: queries and answers are repeated by their senders.
  static constexpr std::size_t kQueriesMax = 64;
  static constexpr std::size_t kResponsesMax = 64;
  static constexpr std::size_t kUserEventsMax = 64;
  static constexpr std::size_t kKeyringChangesMax = 8;
  static constexpr std::size_t kOthersMax = 32;

  explicit Outbox(std::size_t members_max)
      : members(2 * members_max + 16),
        queries(kQueriesMax),
        responses(kResponsesMax),
        joins(kOthersMax),
        strangers(kOthersMax),
        conflicts(kOthersMax),
        renames(1),
        blocked(kOthersMax),
        foreign(kOthersMax),
        user_events(kUserEventsMax),
        keyring_changes(kKeyringChangesMax) {}

  swim::Outbox net;
  FixedVector<MemberEvent> members;
  FixedVector<QueryEvent> queries;
  FixedVector<ResponseEvent> responses;
  FixedVector<JoinEvent> joins;
  FixedVector<StrangerEvent> strangers;
  FixedVector<ConflictEvent> conflicts;
  FixedVector<RenameEvent> renames;
  FixedVector<BlockedEvent> blocked;
  FixedVector<ForeignEvent> foreign;
  FixedVector<UserEventNews> user_events;
  FixedVector<KeyringChange> keyring_changes;
  bool left = false;  // A leave has ended.
  std::uint64_t dropped = 0;

  [[nodiscard]] bool empty() const {
    return net.empty() && members.empty() && queries.empty() && responses.empty() && joins.empty() &&
           strangers.empty() && conflicts.empty() && renames.empty() && blocked.empty() && foreign.empty() &&
           user_events.empty() && keyring_changes.empty() && !left;
  }
  void clear() {
    net.clear();
    members.clear();
    queries.clear();
    responses.clear();
    joins.clear();
    strangers.clear();
    conflicts.clear();
    renames.clear();
    blocked.clear();
    foreign.clear();
    user_events.clear();
    left = false;
    keyring_changes.clear();
  }
};

}  // namespace shoal::serf
