// The operator's words behind `add server`: only known keywords, with values checked here, because HAProxy's own
// parsing is lenient (`weight 5x` is 5, `maxconn abc` is accepted) and some keywords would defeat what shoal does.
#pragma once

#include <string_view>

#include "base/containers.h"
#include "base/result.h"

namespace shoal::haproxy {

/// A layer 4 check (a layer 7 check with short timeouts empties a pool of busy workers), connection reuse (which 2.6
/// leaves off for dynamic servers), and fast ejection of a server that refuses connections.
inline constexpr std::string_view kServerOptionsDefault =
    "check inter 2s fastinter 200ms downinter 200ms rise 1 fall 3 pool-max-conn -1 pool-purge-delay 5s "
    "observe layer4 error-limit 5 on-error mark-down";

class ServerOptions {
 public:
  ServerOptions() = default;  // No options, no check.
  /// The error names the keyword, the value and what would be right.
  [[nodiscard]] static Result<ServerOptions> parse(std::string_view text);

  /// Single spaces between words, none at the ends.
  [[nodiscard]] std::string_view text() const { return text_.view(); }
  [[nodiscard]] bool has_check() const { return has_check_; }

 private:
  FixedString<1024> text_;
  bool has_check_ = false;
};

}  // namespace shoal::haproxy
