// Which events a stream wants: `member-join,user:deploy,query:uptime`, or `*`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::rpc {

enum class EventKind : std::uint8_t {
  kMemberJoin,
  kMemberLeave,
  kMemberFailed,
  kMemberUpdate,
  kMemberReap,
  kUser,
  kQuery,
};
/// As serf spells it.
[[nodiscard]] std::string_view to_text(EventKind kind);

class EventFilter {
 public:
  static constexpr std::size_t kWordsMax = 64;

  /// Nothing when a word is none of serf's. Empty text is `*`.
  [[nodiscard]] static std::optional<EventFilter> parse(std::string_view text);
  /// `name`: of a user event or a query.
  [[nodiscard]] bool matches(EventKind kind, std::string_view name) const;

 private:
  struct Word {
    std::optional<EventKind> kind;  // Not set: all.
    std::string name;               // Empty: all of this kind.
  };
  std::vector<Word> words_;
};

}  // namespace shoal::rpc
