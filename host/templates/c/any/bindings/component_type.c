// component.c asks for an object file with the types of the world. The Makefile adds them with
// `jco embed` instead.

void __component_type_object_force_link_component(void);

void __component_type_object_force_link_component(void) {}
