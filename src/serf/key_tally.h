// The answers to one key query, put together (gossip-protocol facts 5.9). One operation at a time: whoever rotates keys
// wants each step to be everywhere before the next begins.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/base64.h"
#include "base/containers.h"
#include "base/time.h"
#include "serf/node.h"

namespace shoal::serf {

/// A key that some nodes have.
struct KeyCount {
  FixedString<base64_size(kKeyBytesMax)> key;
  std::uint32_t nodes = 0;      // That have it.
  std::uint32_t primary = 0;    // That encrypt with it.
  std::size_t last_answer = 0;  // The tally's own: which answer was counted last.
};

/// What one node had to say beside yes.
struct KeyMessage {
  NodeName node;
  FixedString<160> text;
};

class KeyTally {
 public:
  static constexpr std::size_t kKeysMax = 64;      // Further ones are not told apart: the cluster has a mess of keys.
  static constexpr std::size_t kMessagesMax = 64;  // Further ones are counted as errors only.

  KeyTally() : keys_(kKeysMax), messages_(kMessagesMax), answered_by_(kAnswersMax) {}

  /// `nodes`: how many are expected to answer. REQUIRES: not busy.
  void begin(Instant now, KeyOperation operation, QueryToken query, std::size_t nodes, Duration timeout);
  /// False: not an answer to this query. Each node counts once.
  bool on_answer(QueryToken query, std::string_view from, Bytes payload);
  /// All have answered, or the time is over.
  [[nodiscard]] bool done(Instant now) const { return busy() && (answered_ >= nodes_ || now >= deadline_); }
  /// Wipes what it knows of keys.
  void end();

  [[nodiscard]] bool busy() const { return query_ != 0; }
  [[nodiscard]] Instant next_deadline() const { return busy() ? deadline_ : kNever; }
  [[nodiscard]] KeyOperation operation() const { return operation_; }
  [[nodiscard]] std::size_t nodes() const { return nodes_; }
  [[nodiscard]] std::size_t answered() const { return answered_; }
  [[nodiscard]] std::size_t errors() const { return errors_; }
  /// Everybody has done it.
  [[nodiscard]] bool ok() const { return errors_ == 0 && answered_ >= nodes_; }
  [[nodiscard]] std::span<const KeyCount> keys() const { return keys_.view(); }
  [[nodiscard]] std::span<const KeyMessage> messages() const { return messages_.view(); }

 private:
  static constexpr std::size_t kAnswersMax = 65'536;

  void count_key(std::string_view key, bool primary);
  void say(std::string_view from, std::string_view text);

  KeyOperation operation_ = KeyOperation::kList;
  QueryToken query_ = 0;
  Instant deadline_ = kNever;
  std::size_t nodes_ = 0;
  std::size_t answered_ = 0;
  std::size_t errors_ = 0;
  FixedVector<KeyCount> keys_;
  FixedVector<KeyMessage> messages_;
  FixedVector<std::uint64_t> answered_by_;  // Hashes of names.
};

}  // namespace shoal::serf
