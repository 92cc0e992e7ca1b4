# cpack -G DEB: the program with its unit, configuration and log rotation.
#
# What belongs into /etc is a component of its own, which a plain `cmake --install` leaves alone.
# Installing needs the program and not its tests: `cmake --build … --target millrace` before it.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(deploy ${PROJECT_SOURCE_DIR}/deploy)
install(FILES ${deploy}/config.yaml DESTINATION /etc/millrace COMPONENT system EXCLUDE_FROM_ALL)
install(FILES ${deploy}/logrotate/millrace DESTINATION /etc/logrotate.d
  COMPONENT system EXCLUDE_FROM_ALL)
install(FILES ${deploy}/systemd/millrace.service DESTINATION /usr/lib/systemd/system
  COMPONENT system EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME millrace)
set(CPACK_PACKAGE_CONTACT "The Millrace authors <millrace@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Serves, measures and compresses GPT-like language models")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL Unspecified system)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS logrotate)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${deploy}/debian/postinst ${deploy}/debian/prerm ${deploy}/debian/postrm
  ${deploy}/debian/conffiles)
include(CPack)
