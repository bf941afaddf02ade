// Which UNIX sockets others have made: for a command that looks for a running shoal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shoal::reactor {

/// Full paths of the sockets in a directory, sorted; none when it cannot be read. Whether anybody listens on one is
/// another question.
[[nodiscard]] std::vector<std::string> sockets_in(const std::string& directory);

/// The abstract names with this beginning ("@shoal/") that somebody in this network namespace listens on, sorted. From
/// /proc/net/unix; none without it.
[[nodiscard]] std::vector<std::string> listening_abstract_names(std::string_view beginning);

/// The same from the text of /proc/net/unix.
[[nodiscard]] std::vector<std::string> parse_listening_names(std::string_view table, std::string_view beginning);

}  // namespace shoal::reactor
