// What serf's agent RPC says: requests as they are read, answers and records as they are written (gossip-protocol facts
// 6). Each message is a header and, for most commands, a body: two msgpack objects, one behind the other.
//
// An answer always has both fields of its header, and its body also beside an error: stock clients decode into memory
// that they use again, and wait for the body.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/endpoint.h"
#include "wire/msgpack.h"

namespace shoal::rpc {

enum class Command : std::uint8_t {
  kHandshake,
  kAuth,
  kEvent,
  kForceLeave,
  kJoin,
  kMembers,
  kMembersFiltered,
  kTags,
  kStream,
  kMonitor,
  kStop,
  kLeave,
  kQuery,
  kRespond,
  kInstallKey,
  kUseKey,
  kRemoveKey,
  kListKeys,
  kStats,
  kGetCoordinate,
};

/// One request. Everything is borrowed from the input; fields that its command does not have are empty.
struct Request {
  Command command = Command::kHandshake;
  std::uint64_t seq = 0;

  std::int64_t version = 0;             // handshake
  std::string_view auth_key;            // auth
  std::string_view name;                // event, query: its name; members-filtered: an expression
  std::string_view node;                // force-leave, get-coordinate
  std::string_view status;              // members-filtered: an expression
  std::string_view text;                // stream: what of; monitor: the level
  std::string_view key;                 // install-key, use-key, remove-key
  Bytes payload;                        // event, query, respond
  bool coalesce = false;                // event
  bool prune = false;                   // force-leave
  bool replay = false;                  // join
  bool ack = false;                     // query
  std::uint8_t relay_factor = 0;        // query
  std::int64_t timeout_ns = 0;          // query; 0 = the default
  std::uint64_t id = 0;                 // respond: the query; stop: the stream
  std::vector<std::string_view> names;  // join: addresses; query: nodes; tags: to delete
  std::vector<std::pair<std::string_view, std::string_view>> pairs;  // tags: to set; query, members-filtered: tag, expr
};

enum class ReadStatus : std::uint8_t {
  kIncomplete,
  kComplete,
  kUnknown,    // There is no such command; `seq` is its. What follows cannot be told apart.
  kMalformed,  // No request at all, or one that is larger than the limit.
};

/// The request at the beginning of `input`, which may be half of one. `size`: for kComplete, how long it is. Nothing is
/// read past `limit` bytes.
[[nodiscard]] ReadStatus read_request(Bytes input, std::size_t limit, Request& out, std::size_t& size);

/// Appends to `out` what `f` writes, which is `most` bytes at most.
template <typename F>
void append(std::vector<std::uint8_t>& out, std::size_t most, F&& f) {
  const std::size_t before = out.size();
  out.resize(before + most);
  ByteWriter writer(MutableBytes(out).subspan(before));
  f(writer);
  out.resize(before + (writer.ok() ? writer.size() : 0));
}

/// A key and bytes in the form that says so, which gossip itself does not have: clients in other languages take raw for
/// text. None: nil. At most 65535.
void put_bin(ByteWriter& out, std::string_view key, Bytes bytes);

/// The header of an answer or a record.
void write_header(std::vector<std::uint8_t>& out, std::uint64_t seq, std::string_view error);

/// A member as clients see it.
struct Member {
  std::string_view name;
  IpAddress address;
  std::uint16_t port = 0;
  std::string_view status;
  Bytes meta;                     // Its tags as they stand on the wire.
  std::uint8_t versions[6] = {};  // pmin, pmax, pcur, dmin, dmax, dcur
};
void write_member(std::vector<std::uint8_t>& out, const Member& member);

}  // namespace shoal::rpc
