# cmake --install: the program, and what a reader needs beside it. No libraries, no headers.
include(GNUInstallDirs)
if(TARGET millrace)
  set_target_properties(millrace PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  install(TARGETS millrace RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET millrace-train)
  set_target_properties(millrace-train PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endif()
install(FILES LICENSE README.md README.zh-CN.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING
  PATTERN "*.md" PATTERN "*.schema.json")
# The model that `millrace run` takes when none is named.
install(DIRECTORY examples/stories260k DESTINATION ${CMAKE_INSTALL_DATADIR}/millrace)
