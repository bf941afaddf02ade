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

bool tag_matches(std::string_view expr, std::string_view value) {
  if (is_plain(expr)) return value.find(expr) != std::string_view::npos;
  if (expr.size() > kExprBytesMax) return false;
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRe2MemoryMax);
  const RE2 re(re2::StringPiece(expr.data(), expr.size()), options);
  return re.ok() && RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), re);
}

}  // namespace shoal::serf
