// Bookkeeping of queries: which have been seen (so that each is handled and passed on once), and which of our own are
// open (so that answers find their asker).
#pragma once

#include <array>
#include <cstdint>

#include "base/containers.h"
#include "base/endpoint.h"
#include "base/hash.h"
#include "base/time.h"
#include "serf/lamport.h"

namespace shoal::serf {

/// Remembers the last few thousand 64-bit marks. Eight ways a set, the oldest of a set is forgotten first: a mark that
/// is forgotten too early only means that a message is handled twice, which every handler stands.
class RecentMarks {
 public:
  /// True when `mark` was not there.
  bool insert(std::uint64_t mark) {
    if (contains(mark)) return false;
    Set& set = sets_[mix64(not_free(mark)) % kSets];
    set.marks[set.next] = not_free(mark);
    set.next = static_cast<std::uint8_t>((set.next + 1) % kWays);
    return true;
  }

  [[nodiscard]] bool contains(std::uint64_t mark) const {
    for (const std::uint64_t known : sets_[mix64(not_free(mark)) % kSets].marks) {
      if (known == not_free(mark)) return true;
    }
    return false;
  }

 private:
  /// 0 is a free place.
  static std::uint64_t not_free(std::uint64_t mark) { return mark == 0 ? ~mark : mark; }

  static constexpr std::size_t kSets = 1024;
  static constexpr std::size_t kWays = 8;
  struct Set {
    std::array<std::uint64_t, kWays> marks{};
    std::uint8_t next = 0;
  };
  ZeroedArray<Set> sets_{kSets};
};

/// Names one of our own queries to whoever asked it. 0 = none.
using QueryToken = std::uint64_t;

class OpenQueries {
 public:
  static constexpr std::size_t kOpenMax = 512;
  static constexpr std::size_t kRespondersMax = 64;  // Of one query: further answers pass, but are not told apart.

  OpenQueries() : open_(kOpenMax) {}

  /// The oldest open query gives way when there are too many.
  QueryToken open(LamportTime ltime, std::uint32_t id, Instant deadline);
  /// The query that an answer belongs to; 0 when it is unknown, over, or this responder has answered already.
  QueryToken match(LamportTime ltime, std::uint32_t id, std::string_view from, bool ack, Instant now);
  void close(QueryToken token);

 private:
  struct Open {
    QueryToken token = 0;
    LamportTime ltime = 0;
    std::uint32_t id = 0;
    Instant deadline{};
    InlineVector<std::uint64_t, kRespondersMax> responders;
  };
  FixedVector<Open> open_;
  QueryToken last_ = 0;
};

/// What is needed to answer a query later.
struct QueryRef {
  LamportTime ltime = 0;
  std::uint32_t id = 0;
  Endpoint reply_to;              // The Addr:Port in the query, not where the datagram came from.
  bool via_stream = false;        // It came over TCP; so goes the answer.
  std::uint8_t relay_factor = 0;  // Members by way of which the answer goes as well.
  Instant deadline{};
};

}  // namespace shoal::serf
