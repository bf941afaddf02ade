#include "serf/tag_match.h"

#include <re2/re2.h>

namespace shoal::serf {
namespace {

constexpr std::size_t kExprBytesMax = 512;
constexpr std::int64_t kRe2MemoryMax = 256 * 1024;

}  // namespace

bool is_plain(std::string_view expr) {
  for (const char c : expr) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!plain) return false;
  }
  return true;
}

struct TagExpression::Impl {
  explicit Impl(std::string_view expr) : re(re2::StringPiece(expr.data(), expr.size()), options()) {}

  static RE2::Options options() {
    RE2::Options out;
    out.set_log_errors(false);
    out.set_max_mem(kRe2MemoryMax);
    return out;
  }

  RE2 re;
};

TagExpression::TagExpression(std::string_view expr)
    : impl_(expr.size() > kExprBytesMax ? nullptr : std::make_unique<Impl>(expr)) {}
TagExpression::~TagExpression() = default;
TagExpression::TagExpression(TagExpression&&) noexcept = default;
TagExpression& TagExpression::operator=(TagExpression&&) noexcept = default;

bool TagExpression::ok() const { return impl_ != nullptr && impl_->re.ok(); }

bool TagExpression::matches(std::string_view value) const {
  return ok() && RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), impl_->re);
}

bool tag_matches(std::string_view expr, std::string_view value) {
  if (is_plain(expr)) return value.find(expr) != std::string_view::npos;
  return TagExpression(expr).matches(value);
}

}  // namespace shoal::serf
