// The settings file. The only file that knows the TOML library is toml_loader.cc.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace shoal::config {

inline constexpr std::size_t kFileBytesMax = 1024 * 1024;

/// Appends the values of a file to `given`, and everything wrong with it to `problems`: a syntax error, an unknown key
/// (with the nearest known one), a wrong type (with an example). Values are not judged here, only their types. After a
/// syntax error `given` is unchanged.
void load_toml(std::string_view file_name, std::string_view text, std::vector<Given>& given,
               std::vector<Problem>& problems);

}  // namespace shoal::config
