# millrace_version: the header base/version.h (commit, build type, compiler), true at each build.
#
# Whoever includes "base/version.h" links millrace_version. Only those files are compiled again when
# the commit changes, so only few should: the program and what writes records of measurements.
find_package(Git QUIET)
set(version_header ${PROJECT_BINARY_DIR}/generated/base/version.h)
set(version_arguments
  -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -D OUTPUT=${version_header} -D GIT=${GIT_EXECUTABLE}
  -D MILLRACE_VERSION=${PROJECT_VERSION} -D MILLRACE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
  "-DMILLRACE_COMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
add_custom_target(millrace_version_header
  COMMAND ${CMAKE_COMMAND} ${version_arguments} -P ${PROJECT_SOURCE_DIR}/cmake/write_version.cmake
  BYPRODUCTS ${version_header}
  COMMENT "Asking git for the commit"
  VERBATIM)

add_library(millrace_version INTERFACE)
target_include_directories(millrace_version INTERFACE ${PROJECT_BINARY_DIR}/generated)
add_dependencies(millrace_version millrace_version_header)
