// The operator's words behind `add server`. Which keywords and values make sense is settled where the operator is told
// (config/server_options.h); here is the last line of defence: nothing that separates, quotes or escapes on the runtime
// socket gets into a command, whoever made the text.
#pragma once

#include <string_view>

#include "base/containers.h"
#include "base/result.h"

namespace shoal::haproxy {

class ServerOptions {
 public:
  ServerOptions() = default;  // No options, no check.
  /// Refuses any byte but letters, digits, spaces and `_.:-/@,=+()!*%`, more than 1,024 bytes, and more than 48 words:
  /// 2.6 cuts a command after 64 words without saying so, and shoal puts up to 8 of its own in front.
  [[nodiscard]] static Result<ServerOptions> parse(std::string_view text);

  /// Single spaces between words, none at the ends.
  [[nodiscard]] std::string_view text() const { return text_.view(); }
  /// One of the words is `check`: such a server needs `enable health`.
  [[nodiscard]] bool has_check() const { return has_check_; }

 private:
  FixedString<1024> text_;
  bool has_check_ = false;
};

}  // namespace shoal::haproxy
