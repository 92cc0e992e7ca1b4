# Installs BUILD into a fresh PREFIX, runs what lies there, and looks for the papers beside it.
cmake_policy(SET CMP0057 NEW)  # if(… IN_LIST …): a script has no project that would set it.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX}
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# No environment at all: an installed program owes nothing to the place where it was built.
execute_process(COMMAND env -i ${PREFIX}/bin/millrace --version
  WORKING_DIRECTORY / OUTPUT_VARIABLE version COMMAND_ERROR_IS_FATAL ANY)
if(NOT version MATCHES "^millrace [0-9]+\\.[0-9]+\\.[0-9]+ \\(commit [0-9a-z.-]+, [a-z]+ build")
  message(FATAL_ERROR "the installed program calls itself: ${version}")
endif()
if(NOT version MATCHES "kernels: ")
  message(FATAL_ERROR "the installed program does not name its kernel rows: ${version}")
endif()

# Nor does it owe anything for the model that comes with it.
execute_process(COMMAND env -i ${PREFIX}/bin/millrace
    run "Once upon a time" --temperature 0 --max-tokens 3
  WORKING_DIRECTORY / OUTPUT_VARIABLE story COMMAND_ERROR_IS_FATAL ANY)
if(NOT story MATCHES "[a-z]")
  message(FATAL_ERROR "the installed program tells no story: '${story}'")
endif()

file(GLOB_RECURSE installed RELATIVE ${PREFIX} ${PREFIX}/*)
foreach(paper LICENSE README.md README.zh-CN.md docs/architecture.md docs/dependencies.md)
  if(NOT "share/doc/millrace/${paper}" IN_LIST installed)
    message(FATAL_ERROR "${paper} is not installed; installed are: ${installed}")
  endif()
endforeach()
foreach(file ${installed})
  if(NOT file MATCHES "^(bin/millrace|share/millrace/.*|share/doc/millrace/.*)$")
    message(FATAL_ERROR "installs ${file}, which is not the program, its data or its papers")
  endif()
endforeach()
