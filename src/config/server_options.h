// Options for HAProxy's `add server`, from the operator. HAProxy reads values leniently (`maxconn abc` and `inter` at
// the end of a line pass without a word on 2.6), so keywords come from a list here and their values are checked here.
#pragma once

#include <string>
#include <string_view>

namespace shoal::config {

/// Splits at spaces, checks each word, and puts the words into `clean` with one space between them. Gives what is
/// wrong, empty when all is well. No text is the empty list of options, which is allowed.
[[nodiscard]] std::string check_server_options(std::string_view text, std::string& clean);

}  // namespace shoal::config
