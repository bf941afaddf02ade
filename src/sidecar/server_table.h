// The servers of one HAProxy that are shoal's: those that a task claims and those with our prefix that stand there.
// Rows are stable, so that a command under way can name its server by index. A row is called as the task's server would
// be, also where a slot (slots.h) stands for it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/containers.h"
#include "base/time.h"
#include "haproxy/runtime_session.h"
#include "sidecar/reconciler.h"
#include "sidecar/slots.h"

namespace shoal::sidecar {

/// How far a server has come that is asked to leave rotation (floor.h).
enum class Leaving : std::uint8_t {
  kNotAsked,
  kKept,   // In rotation until the look, and for as long as the floor holds it.
  kLetGo,  // Out; final until nobody asks any more.
};

/// A server in an old HAProxy process (haproxy/retired_process.h).
struct OldPlace {
  enum class State : std::uint8_t {
    kNone,     // That process never had it, or has no request for it any more.
    kThere,    // Not asked about: its task has not said that it goes.
    kWatched,  // Its requests are counted.
  };
  static constexpr std::uint32_t kNoSlot = 0xffffffff;
  std::uint32_t id = 0;
  std::uint32_t slot_number = kNoSlot;
  std::uint16_t in_flight = 0;  // More count as 65,535.
  State state = State::kNone;
};

struct Server {
  bool used = false;
  bool seen = false;  // By the look that is being read.
  haproxy::BackendName pool;
  haproxy::ServerName name;
  std::uint32_t fact = NameIndex::kNone;  // Who claims it; kNone = a stray.
  Instant stray_since = kNever;
  bool superseded = false;           // Its task has another server by now: no stranger, and not to be waited for.
  std::uint32_t id = 0;              // HAProxy's, from the last look.
  std::uint32_t slot = Slot::kNone;  // Its slot, if it is no server of its own.
  Observed observed;
  bool was_in_rotation = false;  // When it was last seen, in this or an earlier HAProxy.
  bool was_serving = false;      // Nobody held it back when it was last seen, in this or an earlier HAProxy.
  std::uint64_t in_flight = 0;   // Queued + sessions at the last count.
  std::uint32_t id_attempt = 0;  // How many derived ids were taken.

  // HAProxy's last refusal; cleared by success and by a new session.
  haproxy::Outcome refused = haproxy::Outcome::kDone;
  FixedString<200> refusal;
  std::uint64_t refused_in_batch = 0;
  std::uint32_t refusals = 0;    // In a row: the waits between tries double.
  bool in_doubt = false;         // A step that may bring it into rotation was sent, no look has come since.
  Step last_step = Step::kNone;  // Sent since HAProxy's row last changed: the same again waits longer each time.
  std::uint64_t step_batch = 0;  // In which batch that was.
  Instant retry_at = kNever;     // No step before; kNever = at once.

  std::uint64_t said_in_dry_run = 0;  // Hash of the commands last said; 0 = none.

  Leaving leaving = Leaving::kNotAsked;
  bool held = false;  // By the floor, and said so.
  Look look;
  std::uint32_t pool_number = 0;  // Of its pool in this table; kPoolsMax when there are more than that.

  std::array<OldPlace, haproxy::kOldMax> old;
  Endpoint old_place;  // Its address in the process before the present one.

  [[nodiscard]] bool bound() const { return slot != Slot::kNone; }
  /// What HAProxy shows of it now.
  void show(const haproxy::ServerRow& row);
  /// An old process may have requests for it.
  [[nodiscard]] bool has_old() const;
  /// In all old processes that have been asked.
  [[nodiscard]] std::uint32_t old_in_flight() const;
  /// The id that shoal gives it: 1 to 2^31-1, the same for every proxy, so that consistent hashing agrees.
  [[nodiscard]] std::uint32_t wished_id() const;
  [[nodiscard]] FixedString<200> key() const;
};

class ServerTable {
 public:
  static constexpr std::uint32_t kNone = NameIndex::kNone;
  static constexpr std::size_t kPoolsMax = 1024;

  explicit ServerTable(std::size_t capacity);

  [[nodiscard]] std::uint32_t find(std::string_view pool, std::string_view name) const;
  /// kNone when full.
  std::uint32_t find_or_add(const haproxy::BackendName& pool, const haproxy::ServerName& name);
  void erase(std::uint32_t index);

  /// Rows, unused ones included.
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(servers_.size()); }
  [[nodiscard]] std::size_t used() const { return index_.size(); }
  [[nodiscard]] Server& operator[](std::uint32_t index) { return servers_[index]; }
  [[nodiscard]] const Server& operator[](std::uint32_t index) const { return servers_[index]; }

  /// The pools that HAProxy has, as `show backend` said.
  void begin_pools() { pools_.clear(), pools_cut_ = false; }
  void add_pool(const haproxy::BackendName& pool);
  /// kPoolsMax when there are more than that, or it is in none of our rows.
  [[nodiscard]] std::uint32_t find_number(std::string_view pool) const;
  [[nodiscard]] std::uint32_t number_of(const haproxy::BackendName& pool);
  /// REQUIRES: a number that one of them gave, and not kPoolsMax.
  [[nodiscard]] const haproxy::BackendName& pool_name(std::uint32_t number) const { return numbered_[number]; }
  /// True also when nothing is known yet or the list did not fit: then HAProxy's answer decides.
  [[nodiscard]] bool may_have_pool(std::string_view pool) const;

 private:
  FixedVector<Server> servers_;
  FixedVector<std::uint32_t> free_;
  NameIndex index_;  // By "pool/name".
  FixedVector<haproxy::BackendName> numbered_{kPoolsMax};
  NameIndex numbers_{kPoolsMax};
  FixedVector<haproxy::BackendName> pools_{kPoolsMax};
  bool pools_cut_ = false;
};

}  // namespace shoal::sidecar
