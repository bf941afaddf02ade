#include "app/gossip_keys.h"

#include <cerrno>
#include <string>

#include "reactor/file.h"

namespace shoal::app {

Result<serf::KeyList> load_gossip_keys(const config::Gossip& gossip) {
  serf::KeyList keys;
  if (!gossip.key.empty()) {
    serf::Key key;
    SHOAL_ASSERT(key.assign(Bytes(gossip.key)));
    keys.push_back(key);
    return keys;
  }
  if (gossip.keyring_file.empty()) return keys;
  auto text = reactor::read_file(gossip.keyring_file, serf::kKeyringFileBytesMax);
  if (!text.ok()) {
    const bool missing = text.error().code == ENOENT;
    const std::string& why = text.error().message;
    return Error{text.error().code,
                 missing ? "there is no such file; make it: [\"KEY\"], with a key from `shoal keygen`" : why};
  }
  auto parsed = serf::parse_keyring_file(gossip.keyring_file, text.value());
  wire::wipe({reinterpret_cast<std::uint8_t*>(text.value().data()), text.value().size()});
  if (!parsed.ok()) return parsed.error();
  return parsed;
}

Result<void> save_gossip_keys(const config::Gossip& gossip, const wire::Keyring& ring) {
  serf::KeyList keys;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    serf::Key key;
    SHOAL_ASSERT(key.assign(ring[i].raw()));
    keys.push_back(key);
  }
  return reactor::replace_file(gossip.keyring_file, serf::format_keyring_file({keys.begin(), keys.size()}).view(),
                               0600);
}

}  // namespace shoal::app
