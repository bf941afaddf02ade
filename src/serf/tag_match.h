// Whether a tag's value matches a query filter's expression: RE2 syntax, unanchored, as serf has it (trap 33). RE2
// takes time linear in the input whatever the expression, which matters because expressions come from the network.
#pragma once

#include <memory>
#include <string_view>

namespace shoal::serf {

/// Letters, digits, '-' and '_' alone: no expression of RE2's is needed. Any other may cost a millisecond and more to
/// compile, and many fit into a datagram: whoever asks has to ration them.
[[nodiscard]] bool is_plain(std::string_view expr);

/// A bad expression matches nothing. A plain one is searched for as it is and allocates nothing; others are compiled
/// each time within a fixed memory budget.
[[nodiscard]] bool tag_matches(std::string_view expr, std::string_view value);

/// The same, compiled once for many values.
class TagExpression {
 public:
  explicit TagExpression(std::string_view expr);
  ~TagExpression();
  TagExpression(TagExpression&&) noexcept;
  TagExpression& operator=(TagExpression&&) noexcept;

  /// Whether it is one; a bad one matches nothing.
  [[nodiscard]] bool ok() const;
  [[nodiscard]] bool matches(std::string_view value) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::serf
