#include "serf/key_tally.h"

#include "base/hash.h"

namespace shoal::serf {

void KeyTally::begin(Instant now, KeyOperation operation, QueryToken query, std::size_t nodes, Duration timeout) {
  SHOAL_ASSERT(!busy() && query != 0);
  end();
  operation_ = operation;
  query_ = query;
  deadline_ = now + timeout;
  nodes_ = nodes;
}

void KeyTally::end() {
  for (KeyCount& count : keys_) count = KeyCount{};
  keys_.clear();
  messages_.clear();
  answered_by_.clear();
  query_ = 0;
  deadline_ = kNever;
  nodes_ = answered_ = errors_ = 0;
}

void KeyTally::say(std::string_view from, std::string_view text) {
  if (messages_.full()) return;
  KeyMessage& message = messages_.emplace_back();
  message.node.assign_cut(from);
  message.text.assign_cut(text);
}

void KeyTally::count_key(std::string_view key, bool primary) {
  if (key.empty() || key.size() > base64_size(kKeyBytesMax)) return;
  // A node has a key once, however often it names it.
  KeyCount* found = nullptr;
  for (KeyCount& count : keys_) {
    if (count.key == key) found = &count;
  }
  if (found == nullptr) {
    if (keys_.full()) return;
    found = &keys_.emplace_back();
    SHOAL_ASSERT(found->key.assign(key));
  }
  if (primary) {
    ++found->primary;
  } else if (found->last_answer != answered_) {
    found->last_answer = answered_;
    ++found->nodes;
  }
}

bool KeyTally::on_answer(QueryToken query, std::string_view from, Bytes payload) {
  if (!busy() || query != query_) return false;
  const std::uint64_t who = hash64(as_bytes(from));
  for (const std::uint64_t known : answered_by_) {
    if (known == who) return true;
  }
  if (!answered_by_.full()) answered_by_.push_back(who);
  ++answered_;
  wire::KeyResponse answer;
  const bool readable = !payload.empty() && payload[0] == static_cast<std::uint8_t>(wire::SerfType::kKeyResponse) &&
                        wire::decode(payload.subspan(1), answer);
  if (!readable) {
    ++errors_;
    say(from, "its answer cannot be read");
    return true;
  }
  if (!answer.result) ++errors_;
  if (!answer.result || !answer.message.empty()) say(from, answer.message);
  wire::for_each_key(answer.keys, [this](std::string_view key) { count_key(key, false); });
  if (answer.result && operation_ == KeyOperation::kList) count_key(answer.primary_key, true);
  return true;
}

}  // namespace shoal::serf
